// From run-time values to template arguments.
#pragma once
#include <type_traits>

#include "sizes.h"

template <int value>
using Int = std::integral_constant<int, value>;
template <bool value>
using Flag = std::integral_constant<bool, value>;

// A run-time value that is a template argument of the kernels: one of a list.
template <int... values>
struct OneOf {
    int value;

    template <typename Function>
    void visit(const Function& function) const {
        if (!(visitIf<values>(function) || ...)) throw std::logic_error("dispatch: no such instance");
    }

private:
    template <int candidate, typename Function>
    bool visitIf(const Function& function) const {
        if (value == candidate) function(Int<candidate>{});
        return value == candidate;
    }
};
template <int... values>
OneOf<values...> oneOf(int value) {
    return {value};
}

// The same for a yes or no.
struct YesOrNo {
    bool value;

    template <typename Function>
    void visit(const Function& function) const {
        if (value) function(Flag<true>{});
        else function(Flag<false>{});
    }
};
inline YesOrNo flag(bool value) { return {value}; }

// Calls `function` with compile-time constants in place of run-time values, one after the other:
//
//   dispatch([&](auto fpt, auto scale, auto ipt, auto check) { INSTANCE(kernel, fpt, scale, ipt, check) ... },
//            oneOf<4, 8>(filtersPerThread), flag(scaleTargets != 0), images.cases<1>());
//
// An alternative gives one constant, images give two: images per thread, and whether bounds are checked.
template <typename Function>
void dispatch(const Function& function) {
    function();
}
template <typename Function, typename Alternative, typename... Alternatives>
void dispatch(const Function& function, const Alternative& first, const Alternatives&... others) {
    first.visit([&](auto... constants) {
        dispatch([&](auto... more) { function(decltype(constants){}..., more...); }, others...);
    });
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

    // For `dispatch`: perThread * factor and check, the pairs that can be reached.
    template <int factor>
    struct Cases {
        const ImageClass& images;

        template <typename Function>
        void visit(const Function& function) const {
            if (images.perThread == 4) return function(Int<4 * factor>{}, Flag<false>{});
            if (images.perThread == 2) return function(Int<2 * factor>{}, Flag<false>{});
            if (images.check) return function(Int<factor>{}, Flag<true>{});
            return function(Int<factor>{}, Flag<false>{});
        }
    };
    template <int factor = 1>
    Cases<factor> cases() const {
        return {*this};
    }

    std::string rule(int blockWidth = 32) const {
        return text(check ? "N mod 32 != 0" : text("N mod ", perBlock, " == 0"), ": ", perBlock / blockWidth,
                    " images per thread of a ", blockWidth, "-wide block", check ? ", bounds checked" : "");
    }
};
