// The table of the entry points, which every file with entries adds to.
#include "entry_points.h"

std::map<std::string, EntryFunction>& entryPoints() {
    static std::map<std::string, EntryFunction> all;
    return all;
}
