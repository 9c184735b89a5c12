/* libcuda and libcublas as far as the engine uses them, on the memory of the host; launches are written down.
   Whatever else PyCUDA links to is added by the test as functions that fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long long Address;
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_FILE = 301, BAD_HANDLE = 400 };
static int context, stream, blas;
static void* current;

int cuInit(unsigned flags) { return OK; }
int cuDriverGetVersion(int* version) { *version = 13000; return OK; }
int cuGetErrorString(int code, const char** text) { *text = "an emulated error"; return OK; }
int cuGetErrorName(int code, const char** text) { *text = "EMULATED"; return OK; }
int cuDeviceGetCount(int* count) { *count = 1; return OK; }
int cuDeviceGet(int* device, int index) { *device = index; return OK; }
int cuDeviceGetName(char* name, int length, int device) { snprintf(name, length, "Emulated GPU"); return OK; }
int cuDeviceComputeCapability(int* major, int* minor, int device) { *major = 9; *minor = 0; return OK; }
int cuDeviceGetAttribute(int* value, int which, int device) { *value = which == 75 ? 9 : which == 76 ? 0 : 1; return OK; }
int cuDevicePrimaryCtxRetain(void** result, int device) { *result = &context; return OK; }
int cuDevicePrimaryCtxRelease_v2(int device) { return OK; }
int cuCtxPushCurrent_v2(void* value) { current = value; return OK; }
int cuCtxPopCurrent_v2(void** value) { if (value) *value = current; current = NULL; return OK; }
int cuCtxGetCurrent(void** value) { *value = current; return OK; }
int cuCtxGetDevice(int* device) { *device = 0; return OK; }
int cuStreamCreate(void** result, unsigned flags) { *result = &stream; return OK; }
int cuStreamSynchronize(void* s) { return s == &stream ? OK : BAD_HANDLE; }
int cuStreamDestroy_v2(void* s) { return OK; }

int cuMemAlloc_v2(Address* result, size_t size) {
    void* memory;
    if (size > 1u << 30 || posix_memalign(&memory, 256, size)) return NO_MEMORY;
    *result = (Address)memory;
    return OK;
}
int cuMemFree_v2(Address address) { free((void*)address); return OK; }
int cuMemsetD32Async(Address to, unsigned word, size_t count, void* s) {
    for (size_t i = 0; i < count; ++i) ((unsigned*)to)[i] = word;
    return s == &stream ? OK : BAD_HANDLE;
}
static int copy(void* to, const void* from, size_t size, void* s) {
    memcpy(to, from, size);
    return s == &stream ? OK : BAD_HANDLE;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t size, void* s) { return copy((void*)to, from, size, s); }
int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t size, void* s) { return copy(to, (void*)from, size, s); }
int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, void* s) { return copy((void*)to, (void*)from, size, s); }

int cuModuleLoad(void** module, const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) return NO_FILE;
    fclose(file);
    *module = strdup(path);
    return OK;
}
int cuModuleUnload(void* module) { return OK; }
int cuModuleGetFunction(void** function, void* module, const char* name) { *function = strdup(name); return OK; }
int cuLaunchKernel(const char* name, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* s, void** parameters, void** extra) {
    const unsigned char* bytes = extra[1];
    const size_t size = *(size_t*)extra[3];
    if (s != &stream || parameters) return BAD_HANDLE;
    if (gy > 65535 || gz > 65535) return INVALID;
    printf("%s (%u, %u, %u) (%u, %u, %u) %u ", name, gx, gy, gz, bx, by, bz, shared);
    for (size_t i = 0; i < size; ++i) printf("%02x", bytes[i]);
    printf("\n");
    fflush(stdout);
    return OK;
}

int cuEventCreate(void** event, unsigned flags) { *event = calloc(1, sizeof(struct timespec)); return OK; }
int cuEventRecord(void* event, void* s) { clock_gettime(CLOCK_MONOTONIC, event); return s == &stream ? OK : BAD_HANDLE; }
int cuEventSynchronize(void* event) { return OK; }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
    const struct timespec *a = start, *b = end;
    *milliseconds = (b->tv_sec - a->tv_sec) * 1e3 + (b->tv_nsec - a->tv_nsec) * 1e-6;
    return OK;
}
int cuEventElapsedTime_v2(float* milliseconds, void* a, void* b) { return cuEventElapsedTime(milliseconds, a, b); }
int cuEventDestroy_v2(void* event) { free(event); return OK; }

int cublasCreate_v2(void** handle) { *handle = &blas; return OK; }
int cublasSetStream_v2(void* handle, void* s) { return handle == &blas && s == &stream ? OK : INVALID; }
int cublasSetMathMode(void* handle, int mode) { return mode == 2 ? OK : INVALID; }
int cublasGetProperty(int which, int* value) { *value = 13; return OK; }
int cublasSgemm_v2(void* handle, int turnA, int turnB, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            float sum = 0;
            for (int p = 0; p < k; ++p)
                sum += (turnA ? a[p + i * lda] : a[i + p * lda]) * (turnB ? b[j + p * ldb] : b[p + j * ldb]);
            c[i + j * ldc] = *alpha * sum + (*beta ? *beta * c[i + j * ldc] : 0);
        }
    return handle == &blas ? OK : INVALID;
}
