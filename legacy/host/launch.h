// Launch records: everything that is needed to run one kernel launch, on any machine.
#pragma once
#include <cstddef>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "../kernels/block.cuh"

struct Dim3 {
    Dim3(int x = 1, int y = 1, int z = 1) : x(x), y(y), z(z) {}
    int x, y, z;
};

// One kernel argument: a device pointer, an int, a float or a bool.
struct Arg {
    enum Kind { Pointer, Int, Float, Bool };
    Arg() : kind(Int), integer(0) {}
    Arg(const float* p) : kind(Pointer), pointer(p) {}
    Arg(const int* p) : kind(Pointer), pointer(p) {}
    Arg(int i) : kind(Int), integer(i) {}
    Arg(float f) : kind(Float), real(f) {}
    Arg(bool b) : kind(Bool), flag(b) {}

    template <typename T>
    T as() const {
        if constexpr (std::is_pointer_v<T>) return static_cast<T>(const_cast<void*>(pointer));
        else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, unsigned>) return static_cast<T>(integer);
        else if constexpr (std::is_same_v<T, float>) return real;
        else {
            static_assert(std::is_same_v<T, bool>, "kernel arguments are pointers, int, float or bool");
            return flag;
        }
    }

    Kind kind;
    union {
        const void* pointer;
        int integer;
        float real;
        bool flag;
    };
};

using BlockFunction = void (*)(const Block&, const Arg*);

// The arguments of a launch, with their types: with(images.data(), numImages, scale).
template <typename... Types>
std::tuple<Types...> with(Types... values) {
    return {values...};
}

// A kernel instance: its name with template arguments, as in a profiler, its code, and the types of its parameters.
template <typename... Parameters>
struct Kernel {
    std::string name;
    BlockFunction run;

    // The arguments as a record keeps them. They must be the kernel's parameters in number and type; a pointer may also
    // be one to what the kernel takes as constant.
    template <typename... Types>
    static std::vector<Arg> checked(const std::tuple<Types...>& arguments) {
        static_assert(sizeof...(Types) == sizeof...(Parameters), "a launch has as many arguments as the kernel");
        if constexpr (sizeof...(Types) == sizeof...(Parameters))
            static_assert((fits<Types, Parameters>() && ...), "a launch has the kernel's types of arguments, in order");
        return std::apply([](const auto&... values) { return std::vector<Arg>{values...}; }, arguments);
    }

private:
    template <typename Type, typename Parameter>
    static constexpr bool fits() {
        if constexpr (std::is_pointer_v<Type>) return std::is_convertible_v<Type, Parameter>;
        else return std::is_same_v<Type, Parameter>;
    }
};

// Calls a kernel instance for one block, arguments unpacked by the kernel's own signature.
template <auto kernel>
struct Invoke;
template <typename... Parameters, void (*kernel)(const Block&, Parameters...)>
struct Invoke<kernel> {
    template <std::size_t... I>
    static void unpack(const Block& block, const Arg* args, std::index_sequence<I...>) {
        kernel(block, args[I].template as<Parameters>()...);
    }
    static void run(const Block& block, const Arg* args) {
        unpack(block, args, std::index_sequence_for<Parameters...>{});
    }
    static Kernel<Parameters...> named(std::string name) { return {std::move(name), &run}; }
};

inline std::string templateArgument(bool value) { return value ? "true" : "false"; }
inline std::string templateArgument(int value) { return std::to_string(value); }
template <typename T, T value>
std::string templateArgument(std::integral_constant<T, value>) {
    return templateArgument(value);
}

template <typename... Values>
std::string instanceName(const std::string& name, const std::string& type, Values... values) {
    std::string list = type;
    ((list += (list.empty() ? "" : ", ") + templateArgument(values)), ...);
    return name + "<" + list + ">";
}

// The names of type arguments, as a list.
template <typename First, typename... Others>
std::string typeNames() {
    return (std::string(First::kernelName()) + ... + (", " + std::string(Others::kernelName())));
}

// One macro builds name and pointer together, so that they cannot disagree.
//   INSTANCE(kFCNorm, 4, 32, 4, check, blocked)       kFCNorm<4, 32, 4, false, false>
//   FLAG_INSTANCE(kTICAGrad, check, 4, 2)             kTICAGrad<4, 2, true> or kTICAGrad<4, 2, false>, as check is
//   TYPED_INSTANCE(kLocalPool, MaxPooler, 4, 32, …)   first template argument is a type
//   TYPES_INSTANCE(kAggRows, (agg::Sum, binary::Second), 64)      type arguments in brackets, then values if any
//   PLAIN_INSTANCE(kLogregCost)                       not a template
#define INSTANCE(kernel, ...) Invoke<&kernel<__VA_ARGS__>>::named(instanceName(#kernel, "", __VA_ARGS__))
#define FLAG_INSTANCE(kernel, flag, ...) \
    ((flag) ? INSTANCE(kernel, __VA_ARGS__ __VA_OPT__(, ) true) : INSTANCE(kernel, __VA_ARGS__ __VA_OPT__(, ) false))
#define TYPED_INSTANCE(kernel, Type, ...) \
    Invoke<&kernel<Type, __VA_ARGS__>>::named(instanceName(#kernel, Type::kernelName(), __VA_ARGS__))
#define WITHOUT_BRACKETS(...) __VA_ARGS__
#define TYPES_INSTANCE(kernel, TYPES, ...)                                     \
    Invoke<&kernel<WITHOUT_BRACKETS TYPES __VA_OPT__(, ) __VA_ARGS__>>::named( \
        instanceName(#kernel, typeNames<WITHOUT_BRACKETS TYPES>() __VA_OPT__(, ) __VA_ARGS__))
#define PLAIN_INSTANCE(kernel) Invoke<&kernel>::named(#kernel)

struct LaunchRecord {
    std::string kernel;
    Dim3 grid, block;
    int sharedBytes = 0;
    std::vector<Arg> args;
    BlockFunction run = nullptr;
    std::string rule;              // the dispatch rule that chose this instance, in words
    std::string layer, pass;       // who asked, where a network did
    double seconds = 0;
};
