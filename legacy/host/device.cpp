// Launch records, and the CPU as a device: memory that is kept, blocks by OpenMP, matrix products by the BLAS.
#include "device.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif
#include <pthread.h>

#include "errors.h"

#ifdef _OPENMP
#include <omp.h>
bool compiledWithOpenMP() { return true; }
#else
static int omp_get_thread_num() { return 0; }
bool compiledWithOpenMP() { return false; }
#endif

static double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Device::launch(const std::string& kernel, BlockFunction function, Dim3 grid, Dim3 block, int sharedBytes,
                    const std::string& rule, std::vector<Arg> args) {
    LaunchRecord record{kernel, grid, block, sharedBytes, std::move(args), function, rule};
    const auto start = std::chrono::steady_clock::now();
    run(record);
    record.seconds = secondsSince(start);
    keep(record);
}

void Device::keep(LaunchRecord& record) {
    if (!logging) return;
    record.layer = layer;
    record.pass = pass;
    while (log.size() >= logging) log.pop_front();
    log.push_back(std::move(record));
}

void Device::keepProduct(char transA, char transB, int m, int n, int k, double seconds) {
    LaunchRecord record;
    record.kernel = text("sgemm(", transA, ", ", transB, ", ", m, ", ", n, ", ", k, ")");
    record.rule = "matrix product: one SGEMM (cuBLAS in 2012 and on the GPU, the BLAS of SciPy on the CPU)";
    record.seconds = seconds;
    keep(record);
}

namespace {

bool forked = false;
[[maybe_unused]] const int watched = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Fresh memory, large blocks on huge pages where the system has them.
float* freshBlock(std::size_t bytes) {
    constexpr std::size_t hugePage = std::size_t{1} << 21;
    const bool large = bytes >= 4 * hugePage;
    void* data = nullptr;
    if (posix_memalign(&data, large ? hugePage : 64, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (large) madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<float*>(data);
}

}  // namespace

float* CpuDevice::allocate(std::size_t elements) {
    const std::size_t bytes = std::max(elements * sizeof(float), std::size_t{64});
    float* data = nullptr;
    {
        const std::lock_guard<std::mutex> lock(guard);
        if (const auto found = idle.find(bytes); found != idle.end()) {
            data = found->second;
            idle.erase(found);
        } else {
            data = freshBlock(bytes);
            sizes[data] = bytes;
        }
    }
    std::memset(data, 0, bytes);
    return data;
}

void CpuDevice::release(float* data) noexcept {
    const std::lock_guard<std::mutex> lock(guard);
    idle.emplace(sizes.at(data), data);
}

void CpuDevice::trim() {
    const std::lock_guard<std::mutex> lock(guard);
    for (const auto& [bytes, data] : idle) {
        sizes.erase(data);
        std::free(data);
    }
    idle.clear();
}

CpuDevice::~CpuDevice() { CpuDevice::trim(); }

void CpuDevice::copyIn(float* device, const float* host, std::size_t elements) { copyWithin(device, host, elements); }

void CpuDevice::copyOut(float* host, const float* device, std::size_t elements) { copyWithin(host, device, elements); }

void CpuDevice::copyWithin(float* to, const float* from, std::size_t elements) {
    if (elements) std::memcpy(to, from, elements * sizeof(float));
}

// Columns of C are multiplied side by side. How many at a time depends on the sizes alone, so that results do not depend
// on the number of threads. BLAS itself runs on one thread meanwhile (_call.py): two teams would wait for each other.
void CpuDevice::gemm(char transA, char transB, int m, int n, int k, float alpha, const float* a, int lda,
                     const float* b, int ldb, float beta, float* c, int ldc) {
    if (toStop()) throw std::runtime_error("interrupted");
    const auto start = std::chrono::steady_clock::now();
    const bool isLong = 1.0 * m * n * k >= 1 << 22;    // 20 us and more
    const int width = isLong ? std::clamp((n / 4 + 31) / 32 * 32, 64, 256) : std::max(n, 1);
    const long step = transB == 'n' ? ldb : 1;
#pragma omp parallel for schedule(dynamic) num_threads(team()) if (n > width)
    for (int first = 0; first < n; first += width) {
        int columns = std::min(width, n - first);
        sgemm(&transA, &transB, &m, &columns, &k, &alpha, const_cast<float*>(a), &lda,
              const_cast<float*>(b) + first * step, &ldb, &beta, c + static_cast<long>(first) * ldc, &ldc);
    }
    keepProduct(transA, transB, m, n, k, secondsSince(start));
}

// Whether a launch takes longer than waking threads. With fewer than 32 blocks only convolutions do; others were measured
// to take 22 us and less. Where a thread has one value, or the sum of a short row, 2^17 threads take about 20 us.
static bool worthwhile(const LaunchRecord& record, long blocks) {
    const auto is = [&](const char* part) { return record.kernel.find(part) != std::string::npos; };
    if (is("cts_")) return blocks > 1;
    const bool isLight = is("kEltwise") || is("VectorOp") || is("kAggRows<");
    return blocks >= 32 && (!isLight || blocks * record.block.x * record.block.y >= 1 << 17);
}

int CpuDevice::team() const { return forked ? 1 : threads; }

bool CpuDevice::toStop() {
    const auto now = std::chrono::steady_clock::now();
    if (now - asked < std::chrono::milliseconds(50)) return false;
    asked = now;
    return interrupted() != 0;
}

void CpuDevice::run(LaunchRecord& record) {
    const Dim3 grid = record.grid;
    const long blocks = static_cast<long>(grid.x) * grid.y * grid.z;
    const Arg* args = record.args.data();
    [[maybe_unused]] const long chunk = std::max(1L, blocks / (team() * 64L));
    // Blocks that read the same activities, one after another: those of one x, in the gradient of filters.
    const bool downwards = record.kernel.find("weight_acts") != std::string::npos;
    std::atomic<bool> stop{toStop()};
    long every = 1, left = 1;          // blocks of the calling thread from one look at the clock to the next
    auto looked = asked;
#pragma omp parallel for schedule(dynamic, chunk) num_threads(team()) if (worthwhile(record, blocks))
    for (long b = 0; b < blocks; ++b) {
        if (stop.load(std::memory_order_relaxed)) continue;
        if (omp_get_thread_num() == 0 && --left == 0) {
            if (toStop()) stop = true;
            const auto now = std::chrono::steady_clock::now();
            if (now - looked < std::chrono::milliseconds(5)) every *= 2;
            else every = std::max(1L, every / 2);
            looked = now;
            left = every;
        }
        const long plane = static_cast<long>(grid.x) * grid.y, inPlane = b % plane;
        const int x = static_cast<int>(downwards ? inPlane / grid.y : inPlane % grid.x);
        const int y = static_cast<int>(downwards ? inPlane % grid.y : inPlane / grid.x);
        const int z = static_cast<int>(b / plane);
        record.run(Block{x, y, z, grid.x, grid.y, grid.z}, args);
    }
    if (stop) throw std::runtime_error("interrupted");
}
