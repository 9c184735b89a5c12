// What this module was built for and what the processor can run.
#pragma once
#include <string>

std::string moduleInstructionSet();     // "strict", "v3", "v4" or "baseline"
std::string bestInstructionSet();       // the best of those that this processor runs
std::string compilerVersion();
bool contractsMultiplyAdd();           // a*b + c in one expression is one fused operation in this module
