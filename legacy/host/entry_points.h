// The historical entry points by name, with their arguments by name: what legacy.cudaconv calls.
#pragma once
#include <functional>
#include <map>
#include <string>

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
std::map<std::string, EntryFunction>& entryPoints();

// A file-scope Entry registers one entry point.
struct Entry {
    Entry(const std::string& name, EntryFunction function) { entryPoints()[name] = std::move(function); }
};
