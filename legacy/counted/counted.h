// What a block does with memory, counted access by access: kernels run as in threads.h, on numbers that say when they are
// read and written. build.py puts Cell, Loop, Branch, share and keep into copies of the kernel files.
//
// The accesses of a warp's threads are one request if they come from one place in the program, in the same rounds of the
// loops around it. Loops marked UNROLL are written out: their rounds are different places of one straight stretch. In a
// stretch a thread reads a word once and then has it in a register, unless it comes to a barrier or writes to the same
// kind of memory in between.
#pragma once
#pragma GCC push_options
#pragma GCC optimize("O2")              // the bookkeeping, not the kernels: every place of theirs is to stay one place
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>

#include "threads.h"

namespace counted {

using Address = std::uint64_t;
using Place = const void*;             // in the program

struct Who {                           // all zero: nobody; or one (a thread or a block), or several
    int id;
    void add(int other) { id = id == 0 || id == other + 1 ? other + 1 : -1; }
    bool anyBut(int other) const { return id != 0 && id != other + 1; }
};

struct Word {                          // all zero: untouched
    Who readers, writers;              // threads, in `phase`: since the last barrier
    Who readingBlocks, writingBlocks;
    long phase;
    bool written, raced, met;
};

struct Area {                          // a matrix in global memory, or an array that the threads of a block share
    int number;
    std::string name;
    Address start;
    long words;
    bool shared, integers;
    std::string shape;
    std::unique_ptr<Word[], void (*)(void*)> word{static_cast<Word*>(std::calloc(words, sizeof(Word))), std::free};
};

struct Request {                       // of a warp, at one place: memory, or a branch
    unsigned lanes = 0, yes = 0;       // who takes part; for whom the branch is taken
    const Area* area = nullptr;
    bool write = false;
    int index[32];
};

struct Round {                         // of a loop
    Place place;
    bool unrolled;
    long number, id;                   // of a loop that is not written out, the id is that of a straight stretch
    std::uint64_t path;                // a hash of this round and those of the loops around it
};

struct Thread {
    std::vector<Round> rounds;                             // innermost last
    std::unordered_map<Address, std::pair<long, long>> known;      // words in registers: the stretch, and `stores` then
    long stores[2] = {1, 1};                               // to global and to shared memory
    long accesses[2] = {0, 0};                             // reads and writes of global memory
    std::vector<std::pair<const float*, int>> kept;        // PerThread arrays, for the trace
};

static long long counts[kinds];        // kinds as build.py lists them
static std::deque<Area> areas;
static std::vector<Thread> all;
static std::unordered_map<std::uint64_t, std::vector<Request>> requests;
static std::map<std::pair<Area*, bool>, std::map<int, std::vector<int>>> seen;     // for the trace: thread -> words
static long phase = 1, stretches;
static int block, barrierLine;
static bool tracing;
static std::size_t traceLimit;
static std::string barrierFile, skippedBarrier, faults, trace;

static int self() { return static_cast<int>(threads::current - threads::fibers.data()); }

static std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
    return (a ^ (b + 0x9E3779B97F4A7C15 + (a << 6) + (a >> 2))) * 0xFF51AFD7ED558CCD;
}

// The calling thread takes part in the first request at a place that has nothing of its lane yet.
static Request& join(Place place, bool write) {
    const auto& rounds = all[self()].rounds;
    const std::uint64_t here = mixed(reinterpret_cast<Address>(place), rounds.empty() ? 0 : rounds.back().path);
    auto& there = requests[mixed(here, self() / 32 * 2 + write)];
    const unsigned lane = 1u << self() % 32;
    auto free = std::find_if(there.begin(), there.end(), [=](const Request& r) { return !(r.lanes & lane); });
    Request& request = free == there.end() ? there.emplace_back() : *free;
    request.lanes |= lane;
    return request;
}

static Area* find(Address address) {
    for (Area& area : areas)
        if (address - area.start < static_cast<Address>(4 * area.words)) return &area;
    return nullptr;
}

static void fault(int kind, const Area& area, int index) {
    if (++counts[kind] > 3) return;
    std::ostringstream text;
    text << kind << '\t' << area.name << '\t' << index << '\t' << block << '\t' << self() << '\t' << barrierFile << '\t' << barrierLine << '\n';
    faults += text.str();
}

// Notes an access; false if nothing is at the address.
static __attribute__((noinline)) bool touch(const void* where, bool write) {
    const Place place = __builtin_return_address(0);
    const Address address = reinterpret_cast<Address>(where);
    if (address - reinterpret_cast<Address>(threads::current->stack.get()) < threads::Fiber::stackSize) return true;
    Area* area = find(address);
    if (!area) return ++counts[outside], false;

    const int index = static_cast<int>((address - area->start) / 4), me = self();
    Thread& thread = all[me];
    Word& word = area->word[index];
    if (word.phase != phase) word.readers = word.writers = {}, word.phase = phase, word.raced = false;
    if (!word.raced && (word.writers.anyBut(me) || (write && word.readers.anyBut(me)))) {
        word.raced = true;
        fault(races, *area, index);
    }
    (write ? word.writers : word.readers).add(me);
    if (area->shared) {
        if (!write && !word.written) fault(unwritten, *area, index);
        word.written |= write;
    } else {
        Who& blocks = write ? word.writingBlocks : word.readingBlocks;
        if (!word.met && (word.writingBlocks.anyBut(block) || (write && word.readingBlocks.anyBut(block)))) {
            word.met = true;
            fault(meetings, *area, index);
        }
        counts[write ? wordsWritten : wordsRead] += blocks.id == 0;
        blocks.add(block);
    }

    auto& known = thread.known[address];
    const std::pair<long, long> now{thread.rounds.empty() ? 0 : thread.rounds.back().id, thread.stores[area->shared] += write};
    if (!write && known == now) return true;
    known = now;
    ++counts[area->shared ? write ? sharedWrites : sharedReads : write ? writes : reads];
    thread.accesses[write] += !area->shared;
    if (tracing) seen[{area, write}][me].push_back(index);
    Request& request = join(place, write);
    request.area = area;
    request.write = write;
    request.index[me % 32] = index;
    return true;
}

static __attribute__((noinline)) bool decide(bool yes) {
    join(__builtin_return_address(0), false).yes |= unsigned(yes) << self() % 32;
    return yes;
}

// The condition of a loop: whether there is another round.
static __attribute__((noinline)) bool again(bool unrolled, bool yes) {
    const Place place = __builtin_return_address(0);
    Thread& thread = all[self()];
    auto& rounds = thread.rounds;
    const bool inside = !rounds.empty() && rounds.back().place == place;
    const Round around = rounds.size() > inside ? rounds[rounds.size() - 1 - inside] : Round{};
    if (!inside) rounds.push_back({place, unrolled, 0, around.id, 0});
    Round& round = rounds.back();
    round.path = mixed(mixed(around.path, reinterpret_cast<Address>(place)), ++round.number);
    if (!unrolled) {
        join(place, false).yes |= unsigned(yes) << self() % 32;
        round.id = ++stretches;
    }
    if (!yes) rounds.pop_back();
    return yes;
}

// Compute capability 1.3: per half-warp, segments of 128 bytes, or the half or quarter of one that has all that is wanted.
static void countSegments(const Request& r) {
    for (int half : {0, 16}) {
        std::map<Address, std::pair<Address, Address>> segments;
        for (int lane = half; lane < half + 16; ++lane)
            if (r.lanes >> lane & 1) {
                const Address address = r.area->start + 4 * r.index[lane];
                auto& ends = segments.try_emplace(address / 128, address, address).first->second;
                ends = {std::min(ends.first, address), std::max(ends.second, address)};
            }
        for (const auto& [segment, ends] : segments) {
            int size = 128;
            while (size > 32 && ends.first / (size / 2) == ends.second / (size / 2)) size /= 2;
            ++counts[r.write ? writes13 : reads13];
            counts[r.write ? bytesWritten13 : bytesRead13] += size;
        }
    }
}

// Passes that 32 or 16 lanes need in shared memory. With 32 banks a pass serves one word of every bank, to all lanes that
// want that word. With 16 banks one word of a pass goes to all that want it; every other bank serves one lane.
static int passes(const Request& r, int first, int lanes) {
    std::map<int, int> wanted, banks;                      // words and how many lanes want them; banks and their words
    int done = 0;
    for (int lane = first; lane < first + lanes; ++lane)
        if (r.lanes >> lane & 1) ++wanted[r.index[lane]];
    if (lanes == 32) {
        for (const auto& [word, count] : wanted) done = std::max(done, ++banks[word % 32]);
        return done;
    }
    for (; !wanted.empty(); ++done) {
        const auto most = std::max_element(wanted.begin(), wanted.end(), [](auto& a, auto& b) { return a.second < b.second; });
        std::set<int> busy{most->first % 16};
        wanted.erase(most);
        for (auto next = wanted.begin(); next != wanted.end();) {
            const auto word = next++;
            if (busy.insert(word->first % 16).second && --word->second == 0) wanted.erase(word);
        }
    }
    return done;
}

static void count(const Request& r) {
    if (!r.area) {
        counts[divergent] += r.yes && r.yes != r.lanes;
    } else if (r.area->shared) {
        ++counts[sharedRequests];
        for (int half : {0, 16}) counts[conflicts13] += std::max(passes(r, half, 16) - 1, 0);
        counts[conflicts20] += passes(r, 0, 32) - 1;
    } else {
        std::set<Address> words, lines, sectors;
        for (int lane = 0; lane < 32; ++lane)
            if (r.lanes >> lane & 1) {
                const Address address = r.area->start + 4 * r.index[lane];
                words.insert(address), lines.insert(address / 128), sectors.insert(address / 32);
            }
        ++counts[r.write ? writeRequests : readRequests];
        counts[r.write ? bytesToWrite : bytesToRead] += 4 * words.size();
        counts[r.write ? writes20 : reads20] += r.write ? sectors.size() : lines.size();
        counts[r.write ? writes35 : reads35] += sectors.size();
        countSegments(r);
    }
}

// A phase for the trace: what threads touched, what tiles and written words hold, what threads keep; last, where it ends.
static void record(bool last) {
    std::ostringstream text;
    text.precision(5);
    for (const auto& [key, byThread] : seen) {
        for (const auto& [thread, words] : byThread) {
            text << (key.second ? "write " : "read ") << key.first->number << ' ' << thread;
            for (int word : words) text << ' ' << word;
            text << '\n';
        }
        if (key.second) {
            std::set<int> written;
            for (const auto& [thread, words] : byThread) written.insert(words.begin(), words.end());
            text << "holds " << key.first->number;
            for (int index : written) {
                const auto at = key.first->start + 4 * index;
                text << ' ' << index << ' ';
                if (key.first->integers) text << *reinterpret_cast<const int*>(at);
                else text << *reinterpret_cast<const float*>(at);
            }
            text << '\n';
        }
    }
    for (std::size_t t = 0; !last && t < all.size(); ++t) {
        text << "keeps " << t;
        for (auto [values, size] : all[t].kept)
            for (int i = 0; i < size; ++i) text << ' ' << values[i];
        text << '\n';
    }
    if (trace.size() + text.str().size() > traceLimit && !last) trace += "left out\n";
    else trace += text.str() + "ends " + (last ? "0" : barrierFile + " " + std::to_string(barrierLine)) + '\n';
    seen.clear();
}

static void endPhase() {
    for (const auto& [key, there] : requests)
        for (const Request& request : there) count(request);
    requests.clear();
    if (tracing) record(threads::current->finished);
    counts[barriers] += !threads::current->finished;
    ++phase;
}

static void barrier(const std::string& file, int line) {
    const std::string name = file.substr(file.rfind('/') + 1);
    if (name + ":" + std::to_string(line) == skippedBarrier) return;
    barrierFile = name;
    barrierLine = line;
    threads::wait();
    all[self()].known.clear();
}

// An array that the block shares: not a number, until somebody writes.
template <typename T>
void share(const char* name, T* start, long words, const std::string& shape) {
    if (find(reinterpret_cast<Address>(start))) return;
    areas.push_back({int(areas.size()), name, reinterpret_cast<Address>(start), words, true, T::integer, shape});
    std::fill_n(reinterpret_cast<std::uint32_t*>(start), words, 0x7FC0DEAD);
    if (tracing) trace += "shared " + std::to_string(areas.back().number) + " " + name + " " + shape + "\n";
}
template <typename T, std::size_t N>
void share(const char* name, T (&array)[N]) { share(name, array, N, "1 " + std::to_string(N)); }
template <typename T, std::size_t N, std::size_t M>
void share(const char* name, T (&array)[N][M]) { share(name, array[0], N * M, std::to_string(N) + " " + std::to_string(M)); }

template <std::size_t N>
void keep(float (&values)[N]) {                            // not numbers either, at first
    auto& kept = all[self()].kept;
    if (!tracing || std::any_of(kept.begin(), kept.end(), [&](auto& one) { return one.first == values; })) return;
    kept.push_back({values, N});
    std::fill_n(values, N, NAN);
}
#pragma GCC pop_options

// Also for functions that the compiler runs: there nothing is counted.
#define INLINED __attribute__((always_inline))
struct Branch {                        // if (Branch{} = condition)
    INLINED constexpr bool operator=(bool yes) const { return __builtin_is_constant_evaluated() ? yes : decide(yes); }
};
struct Loop {                          // for (start; Loop{unrolled} = condition; step)
    bool unrolled;
    INLINED constexpr bool operator=(bool yes) const {
        return __builtin_is_constant_evaluated() ? yes : again(unrolled, yes);
    }
};

}  // namespace counted

// A number in memory; or a copy of one in a register, which is not counted.
template <typename T>
struct Cell {
    static constexpr bool integer = std::is_same_v<T, int>;
    T value;
    Cell() = default;
    INLINED Cell(const Cell& other) : value(other) {}
    INLINED operator T() const { return counted::touch(this, false) ? value : T{}; }
    INLINED Cell& operator=(T given) {
        if (counted::touch(this, true)) value = given;
        return *this;
    }
    INLINED Cell& operator=(const Cell& other) { return *this = static_cast<T>(other); }
    INLINED Cell& operator+=(T more) { return *this = *this + more; }
    INLINED Cell& operator*=(T factor) { return *this = *this * factor; }
};

#define __syncthreads() counted::barrier(__FILE__, __LINE__)

EXPORTED inline void countBegin(const char* skippedBarrier, std::size_t traceLimit) {
    std::fill(std::begin(counted::counts), std::end(counted::counts), 0);
    counted::areas.clear();
    counted::faults = counted::trace = "";
    counted::skippedBarrier = skippedBarrier;
    counted::traceLimit = traceLimit;
    threads::phaseEnds = counted::endPhase;
}

EXPORTED inline void countMatrix(const char* name, void* start, long words) {
    using namespace counted;
    areas.push_back({int(areas.size()), name, reinterpret_cast<Address>(start), words, false, false, ""});
}

// One block; 1 if some threads wait at a barrier that others never reach.
EXPORTED inline int countBlock(threads::Entry entry, const char* arguments, const unsigned* grid, const unsigned* threadsOf,
                               const unsigned* place, bool traced) {
    using namespace counted;
    while (!areas.empty() && areas.back().shared) areas.pop_back();
    threads::entry = entry;
    threads::arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threadsOf[0], threadsOf[1], threadsOf[2]};
    blockIdx = {place[0], place[1], place[2]};
    block = (place[2] * grid[1] + place[1]) * grid[0] + place[0];
    tracing = traced;
    for (std::size_t i = 0; traced && i < areas.size(); ++i) trace += "global " + std::to_string(i) + " " + areas[i].name + "\n";
    all.assign(blockDim.x * blockDim.y * blockDim.z, {});
    const bool whole = threads::runBlock(false);
    counts[threadsRun] += all.size();
    for (const Thread& thread : all) {
        counts[mostReads] = std::max<long long>(counts[mostReads], thread.accesses[0]);
        counts[mostWrites] = std::max<long long>(counts[mostWrites], thread.accesses[1]);
    }
    return !whole;
}

EXPORTED inline const long long* countEnd(const char** faults, const char** trace) {
    *faults = counted::faults.c_str();
    *trace = counted::trace.c_str();
    return counted::counts;
}
