// What the engine throws; the binding turns an exception of C++ into one of Python.
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

// A call that the historical code would have refused (an assert there), or that cannot make sense. The binding makes a
// legacy.Refused of the four parts.
struct Refused : std::exception {
    Refused(std::string problem, std::string expected, std::string actual, std::string hint = "")
        : problem(std::move(problem)),
          expected(std::move(expected)),
          actual(std::move(actual)),
          hint(std::move(hint)) {}
    const char* what() const noexcept override { return problem.c_str(); }
    std::string problem, expected, actual, hint;
};

// For handlers of exceptions: the refusal that is being handled, null if it is another exception; and to throw it on.
inline const Refused* refusalAtHand() {
    try {
        throw;
    } catch (const Refused& refusal) {
        return &refusal;
    } catch (...) {
        return nullptr;
    }
}
inline void throwOn() { throw; }

inline void require(bool condition, const std::string& what, const std::string& expected, const std::string& actual,
                    const std::string& hint = "") {
    if (!condition) throw Refused(what, expected, actual, hint);
}
