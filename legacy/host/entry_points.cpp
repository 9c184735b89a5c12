#include "entry_points.h"

std::map<std::string, EntryFunction>& entryPoints() {
    static std::map<std::string, EntryFunction> all;
    return all;
}
