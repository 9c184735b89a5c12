// From run-time values to template arguments.
#pragma once
#include <type_traits>

#include "sizes.h"

template <int value>
using Int = std::integral_constant<int, value>;
template <bool value>
using Flag = std::integral_constant<bool, value>;

// choose<1, 2, 4>(n, [&](auto n) { ... n is a compile-time constant ... });
template <int first, int... others, typename Function>
void choose(int value, Function function) {
    if (value == first) return function(Int<first>{});
    if constexpr (sizeof...(others) > 0) return choose<others...>(value, function);
    else throw std::logic_error("choose: no such instance");
}

template <typename Function>
void choose(bool value, Function function) {
    if (value) return function(Flag<true>{});
    return function(Flag<false>{});
}

// The image-count classes (conv-kernels 4.1, pool-norm 0.4): images per thread by divisibility of
// the batch; only the smallest can need bounds checks. `blocks` is right for blocks of `across` threads along the images
// with perThread images each, or of half the threads with twice the images: kernels take their width from here, and where
// a kernel has its width built in (image_ops.cuh), it is this one.
struct ImageClass {
    static constexpr int across = 32;
    explicit ImageClass(int numImages)
        : perThread(numImages % 128 == 0  ? 4
                    : numImages % 64 == 0 ? 2
                                          : 1),
          perBlock(across * perThread),
          check(numImages % perBlock != 0),
          blocks(divUp(numImages, perBlock)) {}
    int perThread, perBlock;
    bool check;
    int blocks;
    std::string rule(int blockWidth = 32) const {
        return text(check ? "N mod 32 != 0" : text("N mod ", perBlock, " == 0"), ": ", perBlock / blockWidth,
                    " images per thread of a ", blockWidth, "-wide block", check ? ", bounds checked" : "");
    }
};

// Calls function(perThread * factor, check) with compile-time values, reachable pairs only.
template <int factor, typename Function>
void chooseImages(const ImageClass& images, Function function) {
    if (images.perThread == 4) return function(Int<4 * factor>{}, Flag<false>{});
    if (images.perThread == 2) return function(Int<2 * factor>{}, Flag<false>{});
    if (images.check) return function(Int<factor>{}, Flag<true>{});
    return function(Int<factor>{}, Flag<false>{});
}
