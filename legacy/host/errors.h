// What the engine throws. The binding turns it into a Python exception.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

// Text from parts: text("(", rows, ", ", cols, ")").
template <typename... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

// A call that the historical code would have refused (an assert there), or that cannot make sense.
// what() carries the four parts on lines of their own; the Python side takes them apart again.
struct Refused : std::invalid_argument {
    Refused(const std::string& what, const std::string& expected, const std::string& actual,
            const std::string& hint = "")
        : std::invalid_argument(text(what, "\n  expected: ", expected, "\n  actual:   ", actual,
                                     hint.empty() ? "" : "\n  hint:     ", hint)) {}
};

inline void require(bool condition, const std::string& what, const std::string& expected, const std::string& actual,
                    const std::string& hint = "") {
    if (!condition) throw Refused(what, expected, actual, hint);
}
