#include "quirks.h"

#include "errors.h"

const std::vector<Quirks::Switch>& Quirks::all() {
    static const std::vector<Switch> switches{{"blur-last-tap", true},
                                              {"cmpool-undo-truncation", true},
                                              {"cnorm-ignores-means", true},
                                              {"conv-oversample-overwrites", true},
                                              {"crossent2-sign", true},
                                              {"href-overwrites", true},
                                              {"lab-exponent", true},
                                              {"local-norm-block-offset", true},
                                              {"msm-log-shortcuts", true},
                                              {"nails-start-ignored", true},
                                              {"nails-undo-never-adds", true},
                                              {"norm-undo-add-inverted", true},
                                              {"one-row-vectors", true},
                                              {"resize-clamp", true},
                                              {"shared-fc-overwrites", false},
                                              {"softrelu-gradient-at-output", false},
                                              {"sparse-short-overloads", true},
                                              {"super-eps-mean-not-squared", true},
                                              {"tica-accumulate-root", true},
                                              {"tica-window-not-mirrored", true},
                                              {"undo-2014-ignores-scale", true},
                                              {"undo-pair-test", true},
                                              {"abs-slope-at-zero", true},
                                              {"avg-pool-clipped-area", true},
                                              {"decay-in-momentum", true},
                                              {"dropout-disabled-scales", true},
                                              {"dropout-scales-in-test", true},
                                              {"max-ties-full", true},
                                              {"nrelu-noise-is-activation", true},
                                              {"rate-in-momentum", true},
                                              {"softrelu-cut", true},
                                              {"yuv-coefficients", true}};
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
