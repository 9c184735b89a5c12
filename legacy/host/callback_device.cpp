// The device whose operations are call backs: each passes on, and throws where one failed.
#include "callback_device.h"

#include <stdexcept>

namespace {

// The account of the implementation is what a caller sees; this only ends the work.
void succeed(int failure) {
    if (failure) throw std::runtime_error("the device failed");
}

}  // namespace

float* CallbackDevice::allocate(std::size_t elements) {
    float* data = nullptr;
    succeed(calls.allocate(calls.self, elements, &data));
    return data;
}

void CallbackDevice::release(float* data) noexcept { calls.release(calls.self, data); }

void CallbackDevice::copyIn(float* device, const float* host, std::size_t elements) {
    if (elements) succeed(calls.copyIn(calls.self, device, host, elements));
}

void CallbackDevice::copyOut(float* host, const float* device, std::size_t elements) {
    if (elements) succeed(calls.copyOut(calls.self, host, device, elements));
}

void CallbackDevice::copyWithin(float* to, const float* from, std::size_t elements) {
    if (elements && to != from) succeed(calls.copyWithin(calls.self, to, from, elements));
}

void CallbackDevice::forget(float* data, std::size_t elements) {
    if (elements) succeed(calls.forget(calls.self, data, elements));
}

void CallbackDevice::run(LaunchRecord& record) { succeed(calls.launch(calls.self, &record)); }

void CallbackDevice::gemm(char transA, char transB, int m, int n, int k, float alpha, const float* a, int lda,
                          const float* b, int ldb, float beta, float* c, int ldc) {
    const int sizes[] = {m, n, k, lda, ldb, ldc};
    succeed(calls.gemm(calls.self, transA, transB, sizes, alpha, a, b, beta, c));
    keepProduct(transA, transB, m, n, k, 0);
}
