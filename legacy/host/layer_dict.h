// A layer as its configuration describes it: the values of the layer dictionary, by their historical names.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "sizes.h"

// Nested names are joined with dots: neuron.type, neuron.params.a, schedW.params.tgtFactor. A list of pairs
// (weightShapes) is stored flat. Where a layer has one value per input, the index is the input's.
class LayerDict {
public:
    std::map<std::string, std::vector<double>> numbers;
    std::map<std::string, std::vector<std::string>> words;

    bool has(const std::string& key) const { return numbers.count(key) || words.count(key); }
    double number(const std::string& key, int i = 0) const { return at(numbers, key, i); }
    double numberOr(double otherwise, const std::string& key, int i = 0) const {
        return has(key) ? number(key, i) : otherwise;
    }
    float real(const std::string& key, int i = 0) const { return single(key, number(key, i)); }
    float realOr(double otherwise, const std::string& key, int i = 0) const {
        return single(key, numberOr(otherwise, key, i));
    }
    int integer(const std::string& key, int i = 0) const { return narrow(key, number(key, i)); }
    int integerOr(int otherwise, const std::string& key, int i = 0) const {
        return narrow(key, numberOr(otherwise, key, i));
    }
    bool flag(const std::string& key, int i = 0) const { return number(key, i) != 0; }
    const std::string& word(const std::string& key, int i = 0) const { return at(words, key, i); }
    const std::vector<std::string>& list(const std::string& key) const {
        static const std::vector<std::string> none;
        const auto found = words.find(key);
        return found == words.end() ? none : found->second;
    }

private:
    template <typename T>
    static const T& at(const std::map<std::string, std::vector<T>>& values, const std::string& key, int i) {
        const auto found = values.find(key);
        const int count = found == values.end() ? 0 : static_cast<int>(found->second.size());
        require(i < count, text("key ", key, " is missing"), text(i + 1, " or more values"), text(count),
                "layer dictionaries have the keys of the 2012 parser: port.config makes them");
        return found->second[i];
    }
};
