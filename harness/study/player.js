"use strict";
// Plays a block: threads, tiles and written words at the end of each phase. A trace names words by place in their area.

function make(kind, text, name) {
  const node = document.createElement(kind);
  node.textContent = text ?? "";
  if (name) node.className = name;
  return node;
}

function player(section) {
  const trace = JSON.parse(section.querySelector("script").textContent);
  const [width, height] = trace.block;
  const board = section.querySelector(".board");
  let now = 0, thread = 0;

  const bar = make("div", "", "bar");
  const said = make("p", "", "said");
  said.setAttribute("aria-live", "polite");
  const buttons = [["first phase", () => go(0)], ["previous phase", () => go(now - 1)], ["next phase", () => go(now + 1)],
                   ["last phase", () => go(trace.phases.length - 1)], ["next thread", () => choose(thread + 1)]];
  for (const [text, act] of buttons) {
    const button = make("button", text);
    button.addEventListener("click", act);
    bar.append(button);
  }
  const grids = make("div", "", "grids");
  board.append(bar, said, grids);
  board.tabIndex = 0;
  board.setAttribute("role", "group");
  board.setAttribute("aria-label", "player");

  // A grid of cells with a heading; places ascend row by row.
  function grid(name, rows, columns) {
    const frame = make("figure"), cells = make("div", "", "cells");
    cells.style.setProperty("--columns", columns);
    for (let i = 0; i < rows * columns; ++i) cells.append(make("i"));
    frame.append(make("figcaption", `${name}, ${rows} × ${columns}`), cells);
    grids.append(frame);
    return [...cells.children];
  }

  const threads = grid("threads", height === 1 ? Math.ceil(width / 64) : height, height === 1 ? Math.min(width, 64) : width);
  threads.forEach((cell, t) => cell.addEventListener("click", () => choose(t)));
  const tiles = new Map();
  for (const area of trace.areas)
    if (area.shared) tiles.set(area.number, { area, cells: grid(area.name, area.rows, area.columns) });

  const nameOf = (number) => trace.areas.find((area) => area.number === number).name;
  const few = (words) => words.slice(0, 12).join(", ") + (words.length > 12 ? ", …" : "");

  function show() {
    const phase = trace.phases[now];
    const held = new Map();                                   // what tiles hold, from the first phase on
    for (const { touched } of trace.phases.slice(0, now + 1))
      for (const one of touched)
        if (one.write) for (const [place, value] of Object.entries(one.holds)) held.set(`${one.area} ${place}`, value);
    const own = phase.touched.filter((one) => one.threads[thread]);
    threads.forEach((cell, t) => {
      cell.className = `${phase.touched.some((one) => one.threads[t]) ? "busy" : ""} ${t === thread ? "chosen" : ""}`;
      cell.title = `thread ${t}`;
    });
    for (const { area, cells } of tiles.values()) {
      const fresh = new Set(phase.touched.filter((one) => one.write && one.area === area.number)
        .flatMap((one) => Object.keys(one.holds)));
      const mine = new Set(own.filter((one) => one.area === area.number).flatMap((one) => one.threads[thread]));
      cells.forEach((cell, place) => {
        const value = held.get(`${area.number} ${place}`);
        cell.className = `${fresh.has(String(place)) ? "fresh" : value !== undefined ? "held" : ""} ${mine.has(place) ? "mine" : ""}`;
        cell.title = `${area.name}[${Math.floor(place / area.columns)}][${place % area.columns}] = ${value ?? "never written"}`;
      });
    }
    const kept = phase.keeps[thread] ?? [];
    said.replaceChildren(
      make("b", `Phase ${now + 1} of ${trace.phases.length}`),
      ` to ${phase.ends ? "the barrier at " + phase.ends : "the end"}: the threads ${phase.text}. `,
      make("b", `Thread ${thread}`),
      ` (tx ${thread % width}, ty ${Math.floor(thread / width)}) `,
      own.map((one) => `${one.write ? "writes" : "reads"} ${nameOf(one.area)}[${few(one.threads[thread])}]`
        + (one.write ? ` = ${few(one.threads[thread].map((place) => one.holds[place]))}` : "")).join("; ") || "does nothing",
      kept.length ? `; keeps ${few(kept.map((value) => value ?? "nothing yet"))}.` : ".",
    );
  }

  function go(phase) {
    now = Math.max(0, Math.min(trace.phases.length - 1, phase));
    show();
  }
  function choose(t) {
    thread = (t + threads.length) % threads.length;
    show();
  }
  board.addEventListener("keydown", (event) => {
    const act = { ArrowRight: () => go(now + 1), ArrowLeft: () => go(now - 1), ArrowDown: () => choose(thread + 1),
                  ArrowUp: () => choose(thread - 1), Home: () => go(0), End: () => go(trace.phases.length - 1) }[event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  });
  show();
}

document.querySelectorAll(".play").forEach(player);
