// A device that is implemented elsewhere: every operation is a call back. The network above it is the same code.
#pragma once
#include "device.h"

// The implementation. A call returns 0, or another number after it has left its own account of what failed.
struct DeviceCalls {
    void* self;
    int (*allocate)(void* self, std::size_t elements, float** data);
    int (*release)(void* self, float* data);
    int (*copyIn)(void* self, float* device, const float* host, std::size_t elements);
    int (*copyOut)(void* self, float* host, const float* device, std::size_t elements);
    int (*copyWithin)(void* self, float* to, const float* from, std::size_t elements);
    int (*forget)(void* self, float* data, std::size_t elements);
    int (*launch)(void* self, const LaunchRecord* record);
    int (*gemm)(void* self, char transA, char transB, const int* sizes, float alpha, const float* a, const float* b,
                float beta, float* c);         // sizes: m, n, k, lda, ldb, ldc
};

class CallbackDevice : public Device {
public:
    explicit CallbackDevice(const DeviceCalls& calls) : calls(calls) {}
    float* allocate(std::size_t elements) override;
    void release(float* data) noexcept override;
    void copyIn(float* device, const float* host, std::size_t elements) override;
    void copyOut(float* host, const float* device, std::size_t elements) override;
    void copyWithin(float* to, const float* from, std::size_t elements) override;
    void forget(float* data, std::size_t elements) override;
    bool sharesHostMemory() const override { return false; }
    void gemm(char transA, char transB, int m, int n, int k, float alpha, const float* a, int lda, const float* b,
              int ldb, float beta, float* c, int ldc) override;

protected:
    void run(LaunchRecord& record) override;

private:
    DeviceCalls calls;
};
