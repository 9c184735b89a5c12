// The historical entry points by name, with their arguments by name: what legacy.cudaconv calls.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <type_traits>

#include "matrix.h"
#include "sizes.h"

// Named arguments of one call.
class Arguments {
public:
    std::map<std::string, Matrix> matrices;
    std::map<std::string, double> scalars;
    std::map<std::string, const int*> indices;
    std::map<std::string, std::string> words;
    int generation = 2012;                             // 2011, 2012 or 2014

    Matrix& matrix(const std::string& name) { return find(matrices, name); }
    int integer(const std::string& name) { return narrow(name, find(scalars, name)); }
    float real(const std::string& name) { return single(name, find(scalars, name)); }
    bool flag(const std::string& name) { return find(scalars, name) != 0; }
    const int* table(const std::string& name) { return find(indices, name); }
    const std::string& word(const std::string& name) { return find(words, name); }
    bool has(const std::string& name) const { return scalars.count(name) || words.count(name) || matrices.count(name); }

private:
    template <typename Map>
    static typename Map::mapped_type& find(Map& map, const std::string& name) {
        const auto found = map.find(name);
        if (found == map.end()) throw std::logic_error("entry point: argument " + name + " was not passed");
        return found->second;
    }
};

using EntryFunction = std::function<void(Device&, Arguments&)>;

// The argument of a name, as a function takes it.
template <typename Parameter>
decltype(auto) argument(Arguments& a, const std::string& name) {
    if constexpr (std::is_same_v<Parameter, int>) return name == "generation" ? a.generation : a.integer(name);
    else if constexpr (std::is_same_v<Parameter, float>) return a.real(name);
    else if constexpr (std::is_same_v<Parameter, bool>) return a.flag(name);
    else return static_cast<Parameter>(a.matrix(name));
}

// The entry point that calls a function with the arguments of these names.
template <typename... Parameters, typename... Names>
EntryFunction calls(void (*function)(Device&, Parameters...), Names... names) {
    return [=](Device& device, Arguments& a) { function(device, argument<Parameters>(a, names)...); };
}
template <typename... Parameters, typename... Names>
EntryFunction calls(void (*function)(Parameters...), Names... names) {
    return [=](Device&, Arguments& a) { function(argument<Parameters>(a, names)...); };
}

std::map<std::string, EntryFunction>& entryPoints();

// A file-scope Entry registers one entry point.
struct Entry {
    Entry(const std::string& name, EntryFunction function) { entryPoints()[name] = std::move(function); }
};
