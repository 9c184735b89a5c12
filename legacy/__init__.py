"""The 2012 engine: CUDA kernels and C++ host code, wrapped with Cython."""
