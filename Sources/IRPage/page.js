'use strict';
// The views. `state` is what they show; each render function draws it anew.

const $ = id => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node && key !== 'role') node[key] = value; else node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const state = { view: 'graph', stage: data.stages.length - 1, fn: 0, tree: null, folded: new Set(), selected: null, x: 0, y: 0, zoom: 1, pair: 1 };
const foldedOf = new Map(), trees = new Map();

const kinds = {
  matmul: '#3b78b8', attention: '#8a5aa8', rotary: '#8a5aa8', cache_store: '#8a5aa8', layer_norm: '#4f9a83', rms_norm: '#4f9a83', add: '#b98a2f',
  multiply: '#b98a2f', scale: '#b98a2f', activation: '#b98a2f', gate: '#b98a2f', embed: '#b0607a', normalize: '#b0607a',
};

// ---- layout: one row per visible block or operation, in execution order

const row = { height: 30, gap: 8, indent: 14, width: 620 };

/// Visible rows {id, kind, depth, y, x, width, ...}, boxes of open blocks, and for each operation the row that stands for it.
function layOut(tree) {
  const rows = [], boxes = [], rowOf = new Map();
  let y = 0;
  const add = (item, depth, parent) => {
    Object.assign(item, { depth, y, x: depth * row.indent, width: row.width - 2 * depth * row.indent, parent, position: rows.length });
    rows.push(item);
    y += row.height + row.gap;
    return item;
  };
  for (const [name, type] of tree.fn.parameters) rowOf.set(name, add({ id: name, kind: 'end', label: name, op: 'parameter', type }, 0, null));
  (function visit(block, depth, parent) {
    for (const child of block.children) {
      if (child.leaf !== undefined) {
        const o = tree.operations[child.leaf];
        rowOf.set(child.leaf, add({ id: 'o' + child.leaf, kind: 'operation', leaf: child.leaf, label: child.label, op: o.op, type: o.type ?? '' }, depth, parent));
        continue;
      }
      const isFolded = state.folded.has(child.path);
      const item = add({ id: 'b' + child.path, kind: 'block', block: child, label: child.label, folded: isFolded }, depth, parent);
      if (isFolded) {
        for (let i = child.first; i <= child.last; i++) rowOf.set(i, item);
      } else {
        const top = item.y;
        visit(child, depth + 1, item);
        boxes.push({ x: item.x, y: top, width: item.width, height: y - top - 2, depth });
        y += row.gap / 2;
      }
    }
  })(tree.root, 0, null);
  tree.fn.results.forEach((name, i) => add({ id: 'r' + i, kind: 'end', label: name, op: 'result', type: '', result: name }, 0, null));
  return { rows, boxes, rowOf, height: y };
}

/// Pairs of rows, each once: from the row that makes a value to one that reads it.
function edges(tree, layout) {
  const seen = new Set(), result = [];
  const add = (from, to) => {
    const key = from?.id + '>' + to?.id;
    if (!from || !to || from === to || seen.has(key)) return;
    seen.add(key);
    result.push({ from, to });
  };
  const source = operand => layout.rowOf.get(tree.makerOf.has(operand) ? tree.makerOf.get(operand) : operand);
  for (const o of tree.operations) for (const operand of o.operands) add(source(reference(operand)), layout.rowOf.get(o.index));
  for (const item of layout.rows) if (item.result) add(source(item.result), item);
  return result;
}

let layout = null;

function renderGraph() {
  const tree = state.tree;
  layout = layOut(tree);
  const selected = layout.rows.find(item => item.id === state.selected);
  const graph = $('graph'), parts = [], lines = [];
  for (const box of layout.boxes) {
    parts.push(element('div', { className: 'box', style: `left:${box.x}px;top:${box.y}px;width:${box.width}px;height:${box.height}px` }));
  }
  const roles = new Map();
  const drawn = edges(tree, layout).map(edge => {
    const { from, to } = edge;
    // Nothing but the heads of open blocks between the two.
    const isNext = to.position > from.position && layout.rows.slice(from.position + 1, to.position).every(r => r.kind === 'block' && !r.folded);
    const kind = selected === to ? 'input' : selected === from ? 'user' : isNext ? 'near' : '';
    if (selected === to) roles.set(from, 'input');
    if (selected === from) roles.set(to, 'user');
    const y1 = from.y + row.height, y2 = to.y;
    const right = Math.max(from.x + from.width, to.x + to.width);
    // Neighbouring rows bulge differently, so that parallel edges stay apart.
    const bulge = Math.min(150, 12 + 5 * Math.abs(to.position - from.position) ** 0.75) + (from.position % 5) * 7;
    const d = isNext ? `M${row.width / 2},${y1}V${y2}`
      : `M${from.x + from.width},${from.y + row.height * 0.7}C${right + bulge},${from.y + row.height} ${right + bulge},${to.y} ${to.x + to.width},${to.y + row.height * 0.3}`;
    return { d, kind };
  });
  drawn.sort((a, b) => (a.kind === 'input' || a.kind === 'user') - (b.kind === 'input' || b.kind === 'user'));
  for (const { d, kind } of drawn) lines.push(`<path class="edge ${kind}" d="${d}"/>`);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('width', row.width); svg.setAttribute('height', layout.height);
  svg.setAttribute('aria-hidden', 'true');
  svg.innerHTML = lines.join('');
  parts.push(svg);
  for (const item of layout.rows) {
    const isBlock = item.kind === 'block';
    const node = element('div', {
      className: ['node', isBlock ? 'block' : '', isBlock && !item.folded ? 'head' : '', item.kind === 'end' ? 'end' : '', item === selected ? 'selected' : '', roles.get(item) ?? ''].filter(Boolean).join(' '),
      id: 'row-' + item.position, role: 'treeitem', 'aria-level': item.depth + 1, 'aria-selected': String(item === selected),
      style: `left:${item.x}px;top:${item.y}px;width:${item.width}px;height:${row.height}px` + (kinds[item.op] ? `;--kind:${kinds[item.op]}` : ''),
    });
    if (isBlock) {
      node.setAttribute('aria-expanded', String(!item.folded));
      node.append(element('span', { className: 'fold', textContent: item.folded ? '\u25b8' : '\u25be' }));
    }
    node.append(element('span', { className: 'label', textContent: item.label, title: item.label }));
    if (isBlock) {
      if (item.block.repeat) node.append(element('span', { className: 'count', textContent: `${item.block.repeat} times` }));
      node.append(element('span', { className: 'type', textContent: `${item.block.count} operations` }));
    } else {
      node.append(element('span', { className: 'op', textContent: item.op }), element('span', { className: 'type', textContent: item.type }));
    }
    node.addEventListener('click', event => {
      if (isBlock && (event.target.className === 'fold' || state.selected === item.id || !item.folded)) toggle(item);
      select(item.id, false);
    });
    node.addEventListener('dblclick', () => { if (isBlock && item.folded) toggle(item); });
    parts.push(node);
  }
  graph.replaceChildren(...parts);
  graph.style.width = row.width + 'px'; graph.style.height = layout.height + 'px';
  if (selected) graph.setAttribute('aria-activedescendant', 'row-' + selected.position); else graph.removeAttribute('aria-activedescendant');
}

function place() {
  $('graph').style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
  $('zoom').textContent = `${Math.round(state.zoom * 100)} %`;
}

function zoomTo(zoom, atX, atY) {
  const area = $('viewport').getBoundingClientRect();
  const x = atX ?? area.width / 2, y = atY ?? area.height / 2;
  const next = Math.min(3, Math.max(0.03, zoom)), ratio = next / state.zoom;
  state.x = x - (x - state.x) * ratio;
  state.y = y - (y - state.y) * ratio;
  state.zoom = next;
  place();
}

function home() {
  const width = $('viewport').clientWidth;
  state.zoom = Math.min(1, (width - 140) / row.width);
  state.x = Math.max(16, (width - (row.width + 100) * state.zoom) / 2);
  state.y = 16;
  place();
}

function fit() {
  const area = $('viewport');
  state.zoom = Math.max(0.03, Math.min(1, (area.clientWidth - 40) / (row.width + 110), (area.clientHeight - 32) / layout.height));
  state.x = (area.clientWidth - (row.width + 90) * state.zoom) / 2;
  state.y = 16;
  place();
}

function reveal(item) {
  const height = $('viewport').clientHeight, top = item.y * state.zoom + state.y, margin = 60;
  if (top < margin) state.y += margin - top;
  if (top > height - margin) state.y -= top - (height - margin);
  place();
}

// ---- selection and folding

function toggle(item) {
  if (!state.folded.delete(item.block.path)) state.folded.add(item.block.path);
  renderGraph();
}

function select(id, moves = true) {
  state.selected = id;
  renderGraph();
  renderDetails();
  const item = layout.rows.find(candidate => candidate.id === id);
  if (item && moves) reveal(item);
}

/// Selects operation `index` of the function, with the blocks around it open.
function selectOperation(index) {
  (function open(block) {
    for (const child of block.children) {
      if (child.leaf === undefined && child.first <= index && index <= child.last) {
        state.folded.delete(child.path);
        open(child);
      }
    }
  })(state.tree.root);
  select('o' + index);
}

function setFunction(stage, fn) {
  Object.assign(state, { stage, fn: Math.min(fn, data.stages[stage].functions.length - 1), selected: null });
  const key = `${stage}/${state.fn}`;
  if (!trees.has(key)) trees.set(key, buildTree(data.stages[stage], data.stages[stage].functions[state.fn]));
  state.tree = trees.get(key);
  if (!foldedOf.has(key)) foldedOf.set(key, initiallyFolded(state.tree));
  state.folded = foldedOf.get(key);
  $('stage').value = stage;
  $('functions').replaceChildren(...data.stages[stage].functions.map((f, i) => {
    const button = element('button', { textContent: f.name, 'aria-pressed': String(i === state.fn) });
    button.addEventListener('click', () => setFunction(state.stage, i));
    return button;
  }));
  renderGraph();
  renderDetails();
  home();
}

// ---- details

function pairs(...entries) {
  return element('dl', {}, ...entries.filter(e => e && e[1] !== '' && e[1] !== null).flatMap(([name, value]) => [
    element('dt', { textContent: name }), typeof value === 'string' ? element('dd', { textContent: value }) : element('dd', {}, value)]));
}

function link(text, action) {
  const button = element('button', { className: 'link', textContent: text });
  button.addEventListener('click', action);
  return button;
}

function maker(index) {
  const stage = data.stages[index];
  const text = index === 0 ? 'the import' : `pass ${stage.name}`;
  return index === 0 ? text : element('span', {}, link(text, () => showDifference(index)), stage.reason ? `: ${stage.reason}` : '');
}

/// The stages up to the shown one that added operation `name` of the shown function, or gave it another form.
function formsOf(name) {
  const result = [];
  let before;
  for (let i = 0; i <= state.stage; i++) {
    const fn = data.stages[i].functions.find(f => f.name === state.tree.fn.name);
    const now = fn?.operations.find(index => data.operations[index][0] === name);
    if (now !== undefined && now !== before) result.push(i);
    before = now;
  }
  return result;
}

function earlierForms(o) {
  const links = formsOf(o.name).filter(i => i !== o.maker).map(i => i === 0 ? 'the import' : link(data.stages[i].name, () => showDifference(i)));
  return links.length ? element('span', {}, ...links.flatMap((part, i) => i ? [', ', part] : [part])) : '';
}

function weightNamed(operand) {
  const stage = data.stages[state.stage];
  const position = stage.weights.findIndex(index => '@' + spelled(data.weights[index][0]) === operand);
  return position < 0 ? null : { row: data.weights[stage.weights[position]], maker: stage.weightMakers[position] };
}

function weightDetails(operand) {
  const found = weightNamed(operand);
  if (!found) return element('div', { className: 'weight code', textContent: operand });
  const [, type, size, definition] = found.row;
  const isSource = definition.length === 1 && definition[0].startsWith('source ');
  return element('div', { className: 'weight' },
    element('code', { textContent: `${operand} : ${type}` }),
    pairs(['bytes', bytes(size)], [isSource ? 'read from' : 'folded from', element('pre', { className: 'code', textContent: isSource ? definition[0].slice(7) : definition.join('\n') })],
      ['made by', maker(found.maker)]));
}

function total(operations) {
  const sum = { flops: 0, read: 0, written: 0, weights: new Map() };
  for (const o of operations) {
    sum.flops += o.flops; sum.read += o.read; sum.written += o.written;
    for (const operand of o.operands.map(reference)) if (operand[0] === '@') sum.weights.set(operand, weightNamed(operand)?.row[2] ?? 0);
  }
  sum.weightBytes = [...sum.weights.values()].reduce((a, b) => a + b, 0);
  return sum;
}

function counts(list) {
  const map = new Map();
  for (const item of list) map.set(item, (map.get(item) ?? 0) + 1);
  return [...map].sort((a, b) => b[1] - a[1]);
}

function blockDetails(operations, title, what) {
  const sum = total(operations);
  return [
    element('h2', { textContent: title }), element('p', { className: 'what', textContent: what }),
    pairs(['FLOPs', amount(sum.flops)], ['bytes read', bytes(sum.read)], ['bytes written', bytes(sum.written)],
      ['weights', `${sum.weights.size} of ${bytes(sum.weightBytes)}`]),
    element('h3', { textContent: 'Operations' }), pairs(...counts(operations.map(o => o.op)).map(([op, count]) => [op, `${count}`])),
    element('h3', { textContent: 'Made by' }),
    pairs(...counts(operations.map(o => o.maker)).map(([index, count]) => [`${count}`, maker(index)])),
  ];
}

function shapeText(type) {
  const shape = /\[(.*)\]$/.exec(type)?.[1] ?? '';
  return shape === '' ? 'a single element' : shape.split(', ').join(' x ');
}

function operandLine(operand) {
  const name = reference(operand), label = operand.slice(0, operand.length - name.length);
  const tree = state.tree;
  const index = tree.makerOf.get(name);
  const type = index !== undefined ? tree.operations[index].type : tree.fn.parameters.find(p => p[0] === name)?.[1];
  if (name[0] === '&') {
    const line = data.stages[state.stage].states.find(s => s.startsWith(`state ${name} :`)) ?? name;
    return element('div', { className: 'code', textContent: label + line.replace('state ', '') });
  }
  if (name[0] === '@') return element('div', {}, element('code', { textContent: label ? label : '' }), weightDetails(name));
  return element('div', {}, element('code', { textContent: label }),
    index === undefined ? element('code', { textContent: name }) : link(name, () => selectOperation(index)),
    element('code', { textContent: ` : ${type}` }));
}

function renderDetails() {
  const tree = state.tree, item = layout.rows.find(candidate => candidate.id === state.selected);
  const call = tree.fn.header.includes(': i32[T]') ? `T = ${data.sequence}, S = 1` : '';
  let parts;
  if (!item) {
    parts = [...blockDetails(tree.operations, tree.fn.name, `function, ${tree.operations.length} operations${call ? `; figures with ${call}` : ''}`),
      element('h3', { textContent: 'Keys' }),
      element('div', { className: 'hint' }, ...[['arrows', 'move, fold, unfold'], ['Enter', 'fold or unfold'], ['/', 'find'], ['+ - 0', 'zoom, fit'], ['g p d', 'views'], ['[ ]', 'earlier, later pair']]
        .map(([key, text]) => element('div', {}, element('kbd', { textContent: key }), ' ' + text))),
      element('p', { className: 'hint', textContent: 'Drag or scroll to move; scroll with Ctrl to zoom.' })];
  } else if (item.kind === 'block') {
    const operations = tree.operations.slice(item.block.first, item.block.last + 1);
    const what = item.block.repeat ? `${item.block.repeat} equal layers, ${item.block.count} operations in all` : `block of ${item.block.count} operations`;
    parts = blockDetails(operations, item.block.path.replace(/ \.\.\.$/, '') + (item.block.repeat ? ` ... ${item.block.children[item.block.children.length - 1].path}` : ''), what);
  } else if (item.kind === 'end') {
    parts = [element('h2', { textContent: item.label }), element('p', { className: 'what', textContent: `${item.op} of ${tree.fn.name}` }), pairs(['type', item.type])];
    if (item.result && tree.makerOf.has(item.result)) parts.push(operandLine(item.result));
  } else {
    const o = tree.operations[item.leaf];
    const users = tree.users[item.leaf];
    const operands = o.operands.map(operandLine);
    parts = [
      element('h2', { textContent: o.name }), element('p', { className: 'what', textContent: `${o.op} in ${tree.fn.name}` }),
      pairs(['type', o.type ?? 'no result'], ['shape', o.type ? shapeText(o.type) : ''], ['attributes', o.attributes],
        ['FLOPs', amount(o.flops) + (call ? `, ${call}` : '')], ['bytes read', bytes(o.read)], ['bytes written', bytes(o.written)],
        ['made by', maker(o.maker)], ['earlier forms', earlierForms(o)]),
      element('h3', { textContent: 'Operands' }), ...operands,
      element('h3', { textContent: users.length ? 'Read by' : 'Read by nothing in this function' }),
      ...users.map(index => element('div', {}, link('%' + spelled(tree.operations[index].name), () => selectOperation(index)))),
      element('h3', { textContent: 'IR text' }), element('pre', { className: 'code', textContent: operationText(data.operations[tree.fn.operations[item.leaf]]) }),
    ];
  }
  $('details').replaceChildren(...parts);
}

// ---- pipeline

function renderPipeline() {
  const change = (added, removed, changed) => {
    const parts = [];
    if (added) parts.push(element('span', { className: 'plus', textContent: `+${added}` }));
    if (removed) parts.push(element('span', { className: 'minus', textContent: `\u2212${removed}` }));
    if (changed) parts.push(element('span', { className: 'changed', textContent: `~${changed}` }));
    return parts.flatMap((part, i) => i ? [' ', part] : [part]);
  };
  const value = (stage, before, of, text) => {
    const now = of(stage);
    return element('td', { textContent: now === null ? '' : text(now), className: before && of(before) === now ? 'same' : '' });
  };
  const operations = stage => stage.functions.reduce((sum, f) => sum + f.operations.length, 0);
  const rows = data.stages.map((stage, i) => {
    const before = data.stages[i - 1], [a, r, c, wa, wr, wc] = stage.change;
    return element('tr', {},
      element('td', {}, i ? link(stage.name, () => showDifference(i)) : element('b', { textContent: stage.name }), element('div', { className: 'reason', textContent: stage.reason })),
      element('td', { textContent: stage.rewrites ?? '', className: stage.rewrites ? '' : 'same' }),
      element('td', { textContent: stage.milliseconds === null ? '' : stage.milliseconds.toFixed(1) }),
      value(stage, before, operations, String), element('td', {}, ...(i ? change(a, r, c) : [])),
      value(stage, before, s => s.storedWeights, String), element('td', {}, ...(i ? change(wa, wr, wc) : [])),
      value(stage, before, s => s.weightBytes, bytes), value(stage, before, s => s.stored, bytes), value(stage, before, s => s.peak, bytes),
      value(stage, before, s => s.flops, amount));
  });
  const header = ['stage', 'rewrites', 'ms', 'operations', 'change', 'stored weights', 'change', 'weight bytes', 'stored activations', 'peak activations', 'FLOPs'];
  $('view-pipeline').replaceChildren(
    element('p', { className: 'note', textContent: `Each pass with what it changed: + added, \u2212 removed, ~ same name but another payload, operand or definition. FLOPs are those of an image and a prompt of ${data.sequence} tokens, activations those of an image, a prompt and a token; stored are the bytes that kernels write, peak is the most that is live at a time. A name opens the difference.` }),
    element('table', {}, element('thead', {}, element('tr', {}, ...header.map(text => element('th', { textContent: text, scope: 'col' })))), element('tbody', {}, ...rows)));
}

// ---- difference

const contextLines = 2;

function renderDifference() {
  const before = stageText(data.stages[state.pair - 1], $('collapse').checked), after = stageText(data.stages[state.pair], $('collapse').checked);
  const names = [...new Set([...before, ...after].map(s => s.name))];
  const text = (sections, name) => sections.find(s => s.name === name)?.lines ?? [];
  const script = [], startOf = new Map();
  for (const name of names) {
    const part = difference(text(before, name), text(after, name));
    if (part.some(([kind]) => kind !== ' ')) startOf.set(script.length, name);
    script.push(...part);
  }
  const shown = script.map(() => !$('context').checked);
  script.forEach(([kind], i) => { if (kind !== ' ') for (let j = Math.max(0, i - contextLines); j <= i + contextLines; j++) shown[j] = true; });
  const node = (kind, line, span) => {
    const className = kind === '+' ? 'added' : kind === '-' ? 'removed' : 'same';
    const mark = kind === '+' ? '+ ' : kind === '-' ? '\u2212 ' : '  ';
    return span ? element('div', { className }, mark + line.slice(0, span[0]), element('mark', { textContent: line.slice(...span) }), line.slice(span[1])) : element('div', { className, textContent: mark + line });
  };
  const nodes = [];
  for (let i = 0; i < script.length;) {
    if (startOf.has(i)) nodes.push(element('div', { className: 'section', textContent: startOf.get(i) }));
    if (!shown[i]) {
      let end = i + 1;
      while (end < script.length && !shown[end] && !startOf.has(end)) end++;
      const hidden = script.slice(i, end);
      const gap = element('div', { className: 'gap', textContent: `${end - i} equal lines`, tabIndex: 0, role: 'button' });
      const open = () => gap.replaceWith(...hidden.map(([kind, line]) => node(kind, line)));
      gap.addEventListener('click', open);
      gap.addEventListener('keydown', event => { if (event.key === 'Enter') open(); });
      nodes.push(gap);
      i = end;
      continue;
    }
    let removed = i;
    while (script[removed]?.[0] === '-' && (removed === i || !startOf.has(removed))) removed++;
    let added = removed;
    while (script[added]?.[0] === '+' && !startOf.has(added)) added++;
    // As many lines out as in: marked where each differs.
    const spans = removed > i && removed - i === added - removed
      ? script.slice(i, removed).map(([, line], k) => changedSpan(line, script[removed + k][1])) : null;
    if (spans) {
      spans.forEach((span, k) => nodes.push(node('-', script[i + k][1], span?.[0])));
      spans.forEach((span, k) => nodes.push(node('+', script[removed + k][1], span?.[1])));
      i = added;
    } else {
      nodes.push(node(...script[i]));
      i++;
    }
  }
  const count = kind => script.filter(([k]) => k === kind).length;
  $('lines').replaceChildren(...(count('+') + count('-') ? nodes : [element('div', { className: 'same', textContent: 'The two texts are equal.' })]));
  $('lines').scrollTop = 0;
  $('counts').textContent = `${count('+')} lines added, ${count('-')} removed`;
  $('pair').value = state.pair;
}

function showDifference(pair) {
  state.pair = Math.min(data.stages.length - 1, Math.max(1, pair));
  show('difference');
}

// ---- views, search, input

function show(view) {
  state.view = view;
  for (const name of ['graph', 'pipeline', 'difference']) {
    $('view-' + name).hidden = name !== view;
    $('tab-' + name).setAttribute('aria-selected', String(name === view));
  }
  if (view === 'pipeline') renderPipeline();
  if (view === 'difference') renderDifference();
  if (view === 'graph') $('graph').focus({ preventScroll: true });
}

let found = { text: '', at: -1 };
function find(text, step) {
  const needle = text.trim().toLowerCase();
  if (!needle) { $('found').textContent = ''; return; }
  const matches = state.tree.operations.filter(o => o.name.toLowerCase().includes(needle) || o.op === needle || o.operands.some(r => '@&'.includes(reference(r)[0]) && r.toLowerCase().includes(needle)));
  found = { text: needle, at: matches.length ? (found.text === needle ? found.at + step + matches.length : 0) % matches.length : -1 };
  $('found').textContent = matches.length ? `${found.at + 1} of ${matches.length}` : 'none here';
  if (matches.length) selectOperation(matches[found.at].index);
}

function foldAll(isFolded) {
  state.folded.clear();
  if (isFolded) (function visit(block) { for (const c of block.children) if (c.leaf === undefined) { state.folded.add(c.path); visit(c); } })(state.tree.root);
  renderGraph();
  place();
}

function treeKey(event) {
  const at = layout.rows.findIndex(item => item.id === state.selected), item = layout.rows[at];
  const go = to => { if (layout.rows[to]) select(layout.rows[to].id); };
  switch (event.key) {
    case 'ArrowDown': go(at + 1); break;
    case 'ArrowUp': go(at < 0 ? 0 : at - 1); break;
    case 'Home': go(0); break;
    case 'End': go(layout.rows.length - 1); break;
    case 'ArrowRight': if (item?.kind === 'block') { if (item.folded) toggle(item); else go(at + 1); } break;
    case 'ArrowLeft':
      if (item?.kind === 'block' && !item.folded) toggle(item);
      else if (item?.parent) select(item.parent.id);
      break;
    case 'Enter': case ' ': if (item?.kind === 'block') toggle(item); break;
    case 'Escape': select(null); break;
    default: return;
  }
  event.preventDefault();
}

function start() {
  $('model').textContent = data.model;
  const last = data.stages[data.stages.length - 1];
  $('facts').textContent = `${data.stages.length - 2} passes, context ${data.context ?? 'unknown'}, ${last.storedWeights} weights of ${bytes(last.weightBytes)} as stored`;
  $('stage').append(...data.stages.map((stage, i) => element('option', { value: i, textContent: stage.name })));
  $('pair').append(...data.stages.slice(1).map((stage, i) => element('option', { value: i + 1, textContent: `${data.stages[i].name} \u2192 ${stage.name}` })));
  const functionNamed = name => Math.max(0, data.stages[state.stage].functions.findIndex(f => f.name === name));

  for (const tab of document.querySelectorAll('[role=tab]')) tab.addEventListener('click', () => show(tab.dataset.view));
  $('stage').addEventListener('change', event => setFunction(Number(event.target.value), state.fn));
  $('pair').addEventListener('change', event => showDifference(Number(event.target.value)));
  $('previous-pair').addEventListener('click', () => showDifference(state.pair - 1));
  $('next-pair').addEventListener('click', () => showDifference(state.pair + 1));
  $('collapse').addEventListener('change', renderDifference);
  $('context').addEventListener('change', renderDifference);
  $('fold-all').addEventListener('click', () => foldAll(true));
  $('unfold-all').addEventListener('click', () => foldAll(false));
  $('zoom-in').addEventListener('click', () => zoomTo(state.zoom * 1.25));
  $('zoom-out').addEventListener('click', () => zoomTo(state.zoom / 1.25));
  $('zoom-fit').addEventListener('click', fit);
  $('search').addEventListener('keydown', event => {
    if (event.key === 'Enter') find(event.target.value, event.shiftKey ? -1 : 1);
    if (event.key === 'Escape') $('graph').focus();
  });
  $('search').addEventListener('input', event => find(event.target.value, 0));
  $('graph').addEventListener('keydown', treeKey);

  const viewport = $('viewport');
  viewport.addEventListener('wheel', event => {
    event.preventDefault();
    const area = viewport.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) return zoomTo(state.zoom * Math.exp(-event.deltaY * 0.002), event.clientX - area.left, event.clientY - area.top);
    state.x -= event.shiftKey ? event.deltaY : event.deltaX;
    state.y -= event.shiftKey ? 0 : event.deltaY;
    place();
  }, { passive: false });
  let drag = null;
  viewport.addEventListener('pointerdown', event => { if (event.button === 0) drag = { x: event.clientX - state.x, y: event.clientY - state.y, moved: false, fromX: event.clientX, fromY: event.clientY }; });
  window.addEventListener('pointermove', event => {
    if (!drag) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.fromX, event.clientY - drag.fromY) < 4) return;
    drag.moved = true;
    viewport.classList.add('dragging');
    state.x = event.clientX - drag.x; state.y = event.clientY - drag.y;
    place();
  });
  window.addEventListener('pointerup', () => {
    if (drag?.moved) {
      // The click that ends a drag selects nothing.
      const swallow = event => event.stopPropagation();
      window.addEventListener('click', swallow, true);
      setTimeout(() => {
        window.removeEventListener('click', swallow, true);
        viewport.classList.remove('dragging');
      });
    }
    drag = null;
  });
  window.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName)) return;
    const keys = {
      g: () => show('graph'), p: () => show('pipeline'), d: () => show('difference'), '[': () => showDifference(state.pair - 1), ']': () => showDifference(state.pair + 1),
      '/': () => { show('graph'); $('search').focus(); }, '+': () => zoomTo(state.zoom * 1.25), '=': () => zoomTo(state.zoom * 1.25), '-': () => zoomTo(state.zoom / 1.25), 0: fit,
    };
    if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
  });

  // A fragment names what to show: #graph:FUNCTION:OPERATION, #pipeline, #difference:STAGE.
  const [view, first, second] = decodeURIComponent(location.hash.slice(1)).split(':');
  const step = data.stages[state.stage].functions.findIndex(f => f.name === 'step');
  setFunction(state.stage, view === 'graph' && first ? functionNamed(first) : Math.max(0, step));
  if (view === 'difference') showDifference(Math.max(1, data.stages.findIndex(s => s.name === first)));
  else show(view === 'pipeline' ? view : 'graph');
  if (view === 'graph' && second) {
    const index = state.tree.operations.findIndex(o => o.name === second);
    if (index >= 0) selectOperation(index);
  }
}

start();
