"use strict";
// Everything from the pool enters the document through textContent, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  }

  function number(value, digits = 3) {
    return value === null || value === undefined ? "none" : value.toFixed(digits).replace("-", "\u2212");
  }

  // Theme: the system's, light or dark.
  const theme = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  theme.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "system";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    theme.textContent = `theme: ${next}`;
  });

  // Charts. With `ast` Vega interprets its expressions, which needs no permission to make code from text.
  const options = { ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  for (const figure of document.querySelectorAll("[data-figure]")) {
    const specs = data.figures[figure.dataset.figure];
    const place = figure.querySelector(".chart");
    const pick = figure.querySelector(".pick select");
    const draw = () => vegaEmbed(place, { ...specs[pick ? Number(pick.value) : 0], config: data.config }, options);
    if (pick) pick.addEventListener("change", draw);
    draw().then(() => { figure.dataset.drawn = "true"; });
  }

  // The explorer.
  const { selectors, prompts, left_out: leftOut } = data.explorer;
  const filters = document.getElementById("filters");
  const display = document.getElementById("display");
  const list = document.getElementById("prompts");
  const shown = document.getElementById("shown");
  let current = null;

  function fill(select, values, any) {
    if (any) select.append(new Option(any, ""));
    for (const value of values) select.append(new Option(value, value));
  }

  const sorted = (values) => [...new Set(values)].sort((a, b) => a.localeCompare(b));
  const winner = (prompt, selector) => prompt.traces.find((t) => t.chosen.some((c) => c.selector === selector));
  fill(filters.selector, selectors);
  fill(filters.teacher, sorted(prompts.flatMap((p) => p.traces.filter((t) => t.chosen.length).map((t) => t.teacher))), "any");
  fill(filters.domain, sorted(prompts.map((p) => p.domain).filter((d) => d !== null)), "any");
  fill(filters.kind, [...new Set(prompts.flatMap((p) => p.kinds))], "any reason");

  const haystacks = new Map(prompts.map((p) => [p, [
    p.id, ...p.messages.map((m) => m.text),
    ...p.traces.flatMap((t) => [t.id, t.teacher, t.source, t.steps.map((s) => s[0]).join("")]),
  ].join("\n").toLowerCase()]));

  function matches(prompt) {
    const selector = filters.selector.value;
    const margin = prompt.margins[selector];
    const low = filters.low.value, high = filters.high.value;
    if (low !== "" && !(margin >= Number(low) && margin !== null)) return false;
    if (high !== "" && !(margin <= Number(high) && margin !== null)) return false;
    if (filters.domain.value && prompt.domain !== filters.domain.value) return false;
    if (filters.kind.value && !prompt.kinds.includes(filters.kind.value)) return false;
    const teacher = filters.teacher.value;
    if (teacher && !prompt.traces.some((t) => t.teacher === teacher && t.chosen.some((c) => c.selector === selector))) return false;
    return haystacks.get(prompt).includes(filters.text.value.trim().toLowerCase());
  }

  function ordered(found) {
    const way = filters.order.value, selector = filters.selector.value;
    if (way === "given") return found;
    const sign = way === "up" ? 1 : -1;
    const known = (p) => p.margins[selector] !== null && p.margins[selector] !== undefined;
    return [...found].sort((a, b) => known(b) - known(a) || sign * ((a.margins[selector] ?? 0) - (b.margins[selector] ?? 0)));
  }

  function update() {
    const found = ordered(prompts.filter(matches));
    const more = leftOut ? `; ${leftOut} more did not fit into this file` : "";
    document.getElementById("found").textContent = `${found.length} of ${prompts.length} prompts${more}`;
    list.replaceChildren(...found.map(entry));
    show(found.includes(current) ? current : found[0] || null);
  }

  function entry(prompt) {
    const selector = filters.selector.value;
    const item = make("li");
    const button = make("button");
    button.type = "button";
    button.append(make("span", "first", prompt.messages[prompt.messages.length - 1].text.slice(0, 160)));
    const won = winner(prompt, selector);
    if (won) button.append(make("span", "chip win", won.teacher));
    if (prompt.domain !== null) button.append(make("span", "chip", prompt.domain));
    if (prompt.margins[selector] !== null && prompt.margins[selector] !== undefined) button.append(make("span", "chip", `margin ${number(prompt.margins[selector])}`));
    button.addEventListener("click", () => show(prompt));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const other = step > 0 ? item.nextElementSibling : item.previousElementSibling;
      if (other) { event.preventDefault(); other.firstElementChild.focus(); other.firstElementChild.click(); }
    });
    item.append(button);
    item.prompt = prompt;
    return item;
  }

  function show(prompt) {
    current = prompt;
    for (const item of list.children) item.firstElementChild.setAttribute("aria-current", String(item.prompt === prompt));
    shown.replaceChildren();
    if (!prompt) { shown.append(make("p", "quiet", "No prompt matches.")); return; }
    const about = make("p");
    for (const kind of prompt.kinds) about.append(make("span", "chip", kind));
    about.append(make("span", "chip", `prompt ${prompt.id.slice(0, 12)}`));
    if (prompt.answer !== null) about.append(make("span", "chip", `answer: ${prompt.answer}`));
    shown.append(about);
    for (const message of prompt.messages) {
      const box = make("div", "message");
      box.dir = "auto";
      if (prompt.messages.length > 1) box.append(make("span", "chip", message.role), " ");
      box.append(message.text);
      if (message.cut) box.append(make("span", "chip", `${message.cut.toLocaleString("en")} more characters`));
      shown.append(box);
    }
    const row = make("div", "candidates");
    row.append(...prompt.traces.map(candidate));
    shown.append(row);
    if (prompt.more) shown.append(make("p", "quiet", `${prompt.more} more candidates are not shown; those with the best scores are.`));
    colour();
  }

  function candidate(trace) {
    const selector = filters.selector.value;
    const own = trace.chosen.find((c) => c.selector === selector);
    const box = make("article", own ? "candidate won" : "candidate");
    box.append(make("h4", "", trace.teacher));
    const chips = make("p");
    for (const c of trace.chosen) chips.append(make("span", "chip win", `chosen by ${c.selector}`));
    chips.append(make("span", trace.verdict === "wrong" ? "chip wrong" : "chip", trace.verdict));
    if (trace.dropped) chips.append(make("span", "chip wrong", `dropped: ${trace.dropped}`));
    if (trace.tokens !== null) chips.append(make("span", "chip", `${trace.tokens} tokens in ${trace.n_steps} steps`));
    box.append(chips);
    if (own) box.append(make("p", "", why(own)));
    box.append(steps(trace), make("p", "readout", ""));
    const more = make("details");
    more.append(make("summary", "", "scores and origin"));
    const scores = Object.entries(trace.scores).filter(([, s]) => s !== null && s !== undefined);
    more.append(make("p", "", scores.length ? scores.map(([n, s]) => `${n} ${number(s)}`).join(", ") : "not scored"));
    for (const c of trace.chosen) if (c !== own) more.append(make("p", "", why(c)));
    more.append(make("p", "quiet", `${trace.source}${trace.licence === null ? "" : ", " + trace.licence}; trace ${trace.id.slice(0, 12)}`));
    box.append(more);
    return box;
  }

  function why(c) {
    const rest = [];
    if (c.margin !== null) {
      rest.push(`${number(c.score)} against ${number(c.runner_up_score)} of ${c.runner_up_teacher} (margin ${number(c.margin)})`);
    }
    if (c.stability !== null) rest.push(`the same choice in ${Math.round(100 * c.stability)} % of what-ifs`);
    return `${c.selector}: ${c.reason}${rest.length ? "; " + rest.join("; ") : ""}`;
  }

  // One stop of the Tab key a trace; arrow keys go from step to step.
  function steps(trace) {
    const box = make("div", "trace");
    box.dir = "auto";
    trace.steps.forEach((step, i) => {
      const span = make("span", "step");
      if (display.numbers.checked) span.append(make("span", "n", `[${number(step[3], 2)}, ${number(step[4], 2)}]`));
      span.append(step[0]);
      span.tabIndex = i === 0 ? 0 : -1;
      span.dataset.kind = step[1];
      span.step = step;
      const tell = () => {
        const text = step[2] ? `${step[2]} tokens; window ${number(step[3])}, whole context ${number(step[4])} nats per token` : "no token of its own";
        box.nextElementSibling.textContent = `step ${i + 1} of ${trace.n_steps ?? trace.steps.length} (${step[1]}): ${text}`;
      };
      span.addEventListener("mouseenter", tell);
      span.addEventListener("focus", tell);
      span.addEventListener("keydown", (event) => {
        const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const other = way && box.children[i + way];
        if (!other || !other.step) return;
        event.preventDefault();
        span.tabIndex = -1;
        other.tabIndex = 0;
        other.focus();
      });
      box.append(span);
    });
    if (trace.cut) box.append(make("span", "chip", `${trace.cut.toLocaleString("en")} more characters`));
    return box;
  }

  function value(step) {
    const mode = display.mode.value;
    if (mode === "local") return step[3];
    if (mode === "full") return step[4];
    return step[3] === null || step[4] === null ? null : step[4] - step[3];
  }

  function colour() {
    const spans = [...shown.querySelectorAll(".step")];
    const values = spans.map((s) => value(s.step)).filter((v) => v !== null).sort((a, b) => a - b);
    let low = values[Math.floor(0.05 * (values.length - 1))] ?? 0;
    let high = values[Math.ceil(0.95 * (values.length - 1))] ?? 0;
    if (display.mode.value === "difference") { high = Math.max(Math.abs(low), Math.abs(high), 0.01); low = -high; }
    for (const span of spans) {
      const v = value(span.step);
      const t = v === null || high === low ? 0.5 : Math.min(1, Math.max(0, (v - low) / (high - low)));
      const [rgb, alpha] = t < 0.5 ? ["214 96 20", (0.5 - t) * 1.2] : ["33 113 200", (t - 0.5) * 1.0];
      span.style.backgroundColor = `rgb(${rgb} / ${alpha.toFixed(3)})`;
    }
    document.getElementById("scale-low").textContent = number(low, 2);
    document.getElementById("scale-high").textContent = `${number(high, 2)} nats per token`;
  }

  filters.addEventListener("input", update);
  filters.addEventListener("reset", () => setTimeout(update));
  filters.addEventListener("submit", (event) => event.preventDefault());
  display.addEventListener("submit", (event) => event.preventDefault());
  display.mode.addEventListener("change", colour);
  display.numbers.addEventListener("change", () => show(current));
  update();
  document.documentElement.dataset.ready = "true";
})();
