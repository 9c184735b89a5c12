// What host code speaks to. It never names a machine.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "launch.h"
#include "quirks.h"

class Device {
public:
    virtual ~Device() = default;

    virtual float* allocate(std::size_t elements) = 0;      // zeros
    virtual void release(float* data) noexcept = 0;
    virtual void copyIn(float* device, const float* host, std::size_t elements) = 0;
    virtual void copyOut(float* host, const float* device, std::size_t elements) = 0;
    virtual void copyWithin(float* to, const float* from, std::size_t elements) = 0;
    // Nobody needs these contents any more; a device that looks for reads of them spoils them.
    virtual void forget(float*, std::size_t) {}
    // Memory that the device keeps for later goes back to the system.
    virtual void trim() {}
    // Whether the host may use its pointers. If not, all data goes through copyIn and copyOut.
    virtual bool sharesHostMemory() const { return true; }

    // BLAS sgemm, column-major: C = alpha op(A) op(B) + beta C.
    virtual void gemm(char transA, char transB, int m, int n, int k, float alpha, const float* a, int lda,
                      const float* b, int ldb, float beta, float* c, int ldc) = 0;

    // Completes the record, runs it, and keeps it if logging is on. The compiler compares the arguments, `with(...)`,
    // with the kernel's parameters.
    template <typename... Parameters, typename... Types>
    void launch(const Kernel<Parameters...>& kernel, Dim3 grid, Dim3 block, int sharedBytes, const std::string& rule,
                const std::tuple<Types...>& arguments) {
        launch(kernel.name, kernel.run, grid, block, sharedBytes, rule, kernel.checked(arguments));
    }

    // The log of launches is the legacy code path: so many of them are kept, the newest. 0: none.
    std::size_t logging = 0;
    std::deque<LaunchRecord> log;
    std::string layer, pass;       // stamped on records

    // Whoever computes on a device asks it where they stand.
    Quirks quirks;

protected:
    virtual void run(LaunchRecord& record) = 0;
    void launch(const std::string& kernel, BlockFunction run, Dim3 grid, Dim3 block, int sharedBytes,
                const std::string& rule, std::vector<Arg> args);
    void keep(LaunchRecord& record);
    void keepProduct(char transA, char transB, int m, int n, int k, double seconds);
};

// The signature of BLAS sgemm (Fortran convention), handed in by the binding.
using Sgemm = void (*)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*);

// Asks whether the user wants an end (Ctrl-C): 0, or another number after it has left its own account of that.
using Interrupted = int (*)();

// Blocks are independent: the CPU runs them with OpenMP, and no result depends on the number of threads. Between blocks
// and between launches the device asks now and then whether it is to stop, and then throws: what a launch writes is half
// written. OpenMP's threads do not survive a fork, and a team in the child would wait for them for ever: there blocks
// run one after the other.
class CpuDevice : public Device {
public:
    CpuDevice(Sgemm sgemm, Interrupted interrupted, int threads)
        : sgemm(sgemm), interrupted(interrupted), threads(threads) {}
    ~CpuDevice() override;
    float* allocate(std::size_t elements) override;
    void release(float* data) noexcept override;
    void trim() override;
    void copyIn(float* device, const float* host, std::size_t elements) override;
    void copyOut(float* host, const float* device, std::size_t elements) override;
    void copyWithin(float* to, const float* from, std::size_t elements) override;
    void gemm(char transA, char transB, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
              int ldb, float beta, float* c, int ldc) override;

protected:
    void run(LaunchRecord& record) override;

private:
    Sgemm sgemm;
    Interrupted interrupted;
    int threads;
    int team() const;
    std::chrono::steady_clock::time_point asked{};
    bool toStop();

    // Released memory is kept for the next matrix of that size: touching fresh memory costs more than most kernels.
    std::mutex guard;
    std::map<float*, std::size_t> sizes;               // bytes of every block
    std::multimap<std::size_t, float*> idle;           // released blocks by size
};

bool compiledWithOpenMP();
