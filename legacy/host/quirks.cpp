// The table of the switches, and how one is turned by its name.
#include "quirks.h"

#include "errors.h"

const std::vector<Quirks::Switch>& Quirks::all() {
#define SWITCH(quirk, name, on) {name, on},
    static const std::vector<Switch> switches{DEFECTS(SWITCH) CONVENTIONS(SWITCH)};
#undef SWITCH
    return switches;
}

void Quirks::set(const std::string& name, bool on) {
    std::string names;
    for (std::size_t k = 0; k < all().size(); ++k) {
        if (all()[k].name == name) {
            positions[k] = on;
            return;
        }
        names += text(k ? ", " : "", all()[k].name);
    }
    require(false, "there is no such quirk", names, name);
}
