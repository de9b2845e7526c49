'use strict';
// Line differences between the IR texts of two neighbouring stages.

/// The text of a stage as sections of lines; one repeated layer stands for all when `collapse` is set.
function stageText(stage, collapse) {
  function list(lines, repeats, indent) {
    if (!collapse) return lines;
    const result = [];
    let index = 0;
    for (const repeat of repeats) {
      while (index < repeat.start + repeat.length) result.push(lines[index++]);
      const layers = repeat.layers;
      const others = layers.length > 2 ? `${layers[1]} ... ${layers[layers.length - 1]}` : layers[1];
      result.push([`${indent}// ${others} as ${layers[0]}`]);
      index = repeat.start + repeat.length * layers.length;
    }
    return result.concat(lines.slice(index));
  }
  const weights = stage.weights.map(index => {
    const [name, type, , definition] = data.weights[index];
    const start = `  weight @${spelled(name)} : ${type} = `;
    return definition.length === 1 && definition[0].startsWith('source ') ? [start + definition[0]]
      : [start + 'fold {', ...definition.map(line => '    ' + line), '  }'];
  });
  const sections = [{ name: 'weights', lines: [stage.header, ...stage.symbols.map(s => '  ' + s), ...list(weights, stage.weightRepeats, '  ').flat()] }];
  sections.push({ name: 'states', lines: list(stage.states.map(s => ['  ' + s]), stage.stateRepeats, '  ').flat() });
  for (const fn of stage.functions) {
    const lines = fn.operations.map(index => ['    ' + operationText(data.operations[index])]);
    sections.push({ name: fn.name, lines: ['  ' + fn.header, ...list(lines, fn.repeats, '    ').flat(), '    ' + fn.footer, '  }'] });
  }
  return sections;
}

/// [kind, line] with kind ' ', '-' or '+': a shortest edit script (Myers), after equal ends are cut off.
function difference(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail);
  return [...a.slice(0, head).map(line => [' ', line]), ...shortestScript(x, y), ...a.slice(a.length - tail).map(line => [' ', line])];
}

function shortestScript(a, b) {
  const most = a.length + b.length;
  const trace = [];
  let furthest = new Map([[1, 0]]);
  search: for (let d = 0; d <= most; d++) {
    const next = new Map(furthest);
    trace.push(furthest);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = down ? furthest.get(k + 1) : furthest.get(k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) break search;
    }
    furthest = next;
    // Texts that have little in common: the script would take too long and say nothing.
    if (d > 800) return [...a.map(line => ['-', line]), ...b.map(line => ['+', line])];
  }
  const script = [];
  let x = a.length, y = b.length;
  for (let d = trace.length - 1; d >= 0 && (x > 0 || y > 0); d--) {
    const before = trace[d], k = x - y;
    const down = k === -d || (k !== d && (before.get(k - 1) ?? -1) < (before.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : before.get(from), fromY = d === 0 ? 0 : fromX - from;
    while (x > fromX && y > fromY && x > 0 && y > 0 && a[x - 1] === b[y - 1]) { script.push([' ', a[x - 1]]); x--; y--; }
    if (d === 0) break;
    if (down) { script.push(['+', b[y - 1]]); y--; } else { script.push(['-', a[x - 1]]); x--; }
  }
  return script.reverse();
}

/// The middle in which two lines differ, as [start, end] in each; null where they have too little in common to be one line changed.
function changedSpan(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  // Whole words.
  const inWord = (text, at) => /[\w.]/.test(text[at] ?? '') && /[\w.]/.test(text[at - 1] ?? '');
  while (head > 0 && (inWord(a, head) || inWord(b, head))) head--;
  while (tail > 0 && (inWord(a, a.length - tail) || inWord(b, b.length - tail))) tail--;
  if (head + tail < Math.max(a.length, b.length) * 0.4) return null;
  return [[head, a.length - tail], [head, b.length - tail]];
}
