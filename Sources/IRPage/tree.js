'use strict';
// From a function's operations to the tree that the graph shows. A block is {path, label, children, count, repeat}; a leaf is {leaf: index}.

const data = JSON.parse(document.getElementById('data').textContent);

/// Neighbours that share the next component of their names make a block from this many on.
const smallestBlock = 3;

function operation(stage, fn, index) {
  const row = data.operations[fn.operations[index]];
  return {
    index, name: row[0], op: row[1], operands: row[2], attributes: row[3], type: row[4], flops: row[5], read: row[6], written: row[7],
    maker: fn.makers[index],
  };
}

const plainName = /^[A-Za-z0-9_.+-]+$/;
function spelled(name) {
  return plainName.test(name) ? name : '"' + name.replace(/[\\"]/g, '\\$&').replace(/[\u0000-\u001f\u007f]/g, c => `\\u{${c.codePointAt(0).toString(16)}}`) + '"';
}

/// The line of IR text.
function operationText(row) {
  const [name, op, operands, attributes, type] = row;
  const text = op + ' ' + operands.join(', ') + (attributes ? ` {${attributes}}` : '');
  return type === null ? `${text} as ${spelled(name)}` : `%${spelled(name)} = ${text} : ${type}`;
}

/// An operand without its label: `bias @b` is `@b`.
const reference = operand => operand.replace(/^[a-z_]+ (?=[%@&])/, '');

function buildTree(stage, fn) {
  const operations = fn.operations.map((_, index) => operation(stage, fn, index));
  const parts = operations.map(o => o.name.split('.'));
  const kept = new Set(fn.repeats.flatMap(r => r.layers));

  function children(indices, depth) {
    const result = [];
    for (let i = 0; i < indices.length;) {
      const component = parts[indices[i]][depth];
      let end = i + 1;
      if (component !== undefined) while (end < indices.length && parts[indices[end]][depth] === component) end++;
      const run = indices.slice(i, end);
      const path = parts[run[0]].slice(0, depth + 1).join('.');
      if (component !== undefined && (run.length >= smallestBlock || kept.has(path))) {
        result.push({ path, label: component, children: children(run, depth + 1), count: run.length, first: run[0], last: run[run.length - 1] });
      } else {
        for (const index of run) result.push({ leaf: index, label: parts[index].slice(depth).join('.') || parts[index][depth - 1] });
      }
      i = end;
    }
    return group(result);
  }

  // Layers of a repeat go into one block more.
  function group(list) {
    for (const repeat of fn.repeats) {
      const start = list.findIndex(c => c.path === repeat.layers[0] && c.first === repeat.start);
      if (start < 0) continue;
      const layers = list.slice(start, start + repeat.layers.length);
      if (!layers.every((layer, i) => layer.path === repeat.layers[i])) continue;
      const label = `${layers[0].label} ... ${layers[layers.length - 1].label}`;
      list.splice(start, layers.length, {
        path: `${repeat.layers[0]} ...`, label, children: layers, count: layers.length * repeat.length, repeat: layers.length,
        first: layers[0].first, last: layers[layers.length - 1].last,
      });
    }
    return list;
  }

  const root = { path: '', label: fn.name, children: children(operations.map((_, i) => i), 0), count: operations.length, first: 0, last: operations.length - 1 };
  const makerOf = new Map(operations.map(o => ['%' + spelled(o.name), o.index]));
  const users = operations.map(() => []);
  operations.forEach(o => {
    for (const operand of new Set(o.operands.map(reference))) if (makerOf.has(operand)) users[makerOf.get(operand)].push(o.index);
  });
  return { stage, fn, operations, root, makerOf, users };
}

/// Blocks that are closed at first: repeats, the layers in them, and in a large function the layers that stand alone.
function initiallyFolded(tree) {
  const folded = new Set();
  const large = tree.operations.length > 60;
  (function visit(block) {
    for (const child of block.children) {
      if (child.leaf !== undefined) continue;
      if (child.repeat || block.repeat || (large && /\d$/.test(child.label) && child.count > 6)) folded.add(child.path);
      visit(child);
    }
  })(tree.root);
  return folded;
}

function bytes(count) {
  if (count < 1024) return `${count} B`;
  for (const unit of ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']) {
    count /= 1024;
    if (count < 1023.5) return `${count < 9.995 ? count.toFixed(2) : count < 99.95 ? count.toFixed(1) : Math.round(count)} ${unit}`;
  }
  return `${Math.round(count)} EiB`;
}

function amount(count) {
  if (count < 1000) return `${count}`;
  for (const unit of ['k', 'M', 'G', 'T', 'P', 'E']) {
    count /= 1000;
    if (count < 999.5) return `${count < 9.995 ? count.toFixed(2) : count < 99.95 ? count.toFixed(1) : Math.round(count)} ${unit}`;
  }
  return `${Math.round(count)} E`;
}
