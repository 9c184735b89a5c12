/* One explicit step of the heat equation on a rows x columns grid; the edge stays as it is. */
void step(const float *u, float *next, int rows, int columns, float r) {
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x) {
            int i = y * columns + x;
            next[i] = u[i];
            if (y > 0 && y < rows - 1 && x > 0 && x < columns - 1)
                next[i] += r * (u[i - columns] + u[i + columns] + u[i - 1] + u[i + 1] - 4 * u[i]);
        }
}
