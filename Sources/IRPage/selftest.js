'use strict';
// With the fragment #selftest the page uses itself as a person would and leaves what it saw in the element 'selftest', one line per check.

function selfTest() {
  const lines = [];
  const check = (name, ok, seen = '') => lines.push(`${ok ? 'ok' : 'FAILED'} ${name}${ok ? '' : `: ${seen}`}`);
  const visible = () => document.querySelectorAll('#graph .node').length;
  const press = (key, target = $('graph')) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const click = node => node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  try {
    data.stages.forEach((stage, s) => stage.functions.forEach((fn, f) => {
      setFunction(s, f);
      foldAll(false);
      const leaves = new Set(layout.rows.filter(r => r.kind === 'operation').map(r => r.leaf));
      check(`every operation of ${fn.name} at ${stage.name} is in the unfolded graph`, leaves.size === fn.operations.length, `${leaves.size} of ${fn.operations.length}`);
      foldAll(true);
      const blocks = layout.rows.filter(r => r.kind === 'block').reduce((sum, r) => sum + r.block.count, 0), single = layout.rows.filter(r => r.kind === 'operation').length;
      check(`the folded graph of ${fn.name} at ${stage.name} stands for every operation`, blocks + single === fn.operations.length, `${blocks} + ${single}`);
    }));
    const optimized = data.stages[data.stages.length - 1];
    const named = new Map(optimized.weights.map(i => [data.weights[i][0], data.weights[i]]));
    const read = new Set(optimized.functions.flatMap(fn => fn.operations.flatMap(i => data.operations[i][2].map(reference))).filter(r => r[0] === '@'));
    const stored = [...read].reduce((sum, r) => sum + named.get(r.slice(1))[2], 0);
    check('the header has the bytes of the weights in their types', $('facts').textContent.endsWith(`${read.size} weights of ${bytes(stored)} as stored`), $('facts').textContent);
    setFunction(data.stages.length - 1, Math.max(0, data.stages[data.stages.length - 1].functions.findIndex(f => f.name === 'step')));
    foldAll(true);
    const folded = visible();
    const block = layout.rows.find(r => r.kind === 'block');
    check('there is a block to unfold', block !== undefined);
    click($('row-' + block.position).querySelector('.fold'));
    check('a click on the triangle unfolds a block', visible() > folded, visible());
    check('the block says that it is open', $('row-' + block.position).getAttribute('aria-expanded') === 'true');
    press('ArrowLeft');
    check('the left arrow folds the selected block', visible() === folded, visible());
    press('ArrowRight');
    check('the right arrow unfolds it', visible() > folded, visible());
    press('ArrowDown');
    check('the down arrow moves on', state.selected !== 'b' + block.path && document.querySelectorAll('.node.selected').length === 1, state.selected);

    const target = state.tree.operations.find(o => o.operands.some(r => reference(r)[0] === '@') && o.operands.some(r => state.tree.makerOf.has(reference(r))));
    selectOperation(target.index);
    const details = $('details').textContent;
    const weight = target.operands.map(reference).find(r => r[0] === '@');
    for (const [what, text] of [['name', target.name], ['type', target.type], ['weight', weight], ["weight's type", weightNamed(weight).row[1]], ['FLOPs', amount(target.flops)], ['bytes', bytes(target.read)], ['text', operationText(data.operations[state.tree.fn.operations[target.index]])]]) {
      check(`the details of an operation show its ${what}`, details.includes(text), details);
    }
    check('the details name the stage that made it', details.includes(target.maker === 0 ? 'the import' : data.stages[target.maker].name), details);
    const forms = formsOf(target.name);
    check('the forms of an operation end with its maker', forms[forms.length - 1] === target.maker, `${forms} ${target.maker}`);
    check('the details name the earlier forms', forms.slice(0, -1).every(i => details.includes(i ? data.stages[i].name : 'the import')), details);
    check('edges to the operands are marked', document.querySelectorAll('.edge.input').length > 0);
    check('the operands are marked', document.querySelectorAll('.node.input').length > 0);

    const zoom = state.zoom, y = state.y, transform = $('graph').style.transform;
    press('+', document.body);
    check('plus zooms in', state.zoom > zoom && $('graph').style.transform !== transform);
    $('viewport').dispatchEvent(new WheelEvent('wheel', { deltaY: 50, bubbles: true, cancelable: true }));
    check('the wheel moves the graph', state.y !== y);
    const point = (type, x) => (type === 'pointerdown' ? $('viewport') : window).dispatchEvent(new PointerEvent(type, { clientX: x, clientY: 300, button: 0, bubbles: true }));
    const x = state.x, selected = state.selected;
    point('pointerdown', 300); point('pointermove', 340); point('pointerup', 340);
    check('dragging moves the graph', state.x === x + 40 && state.selected === selected, state.x - x);
    press('0', document.body);
    check('0 fits the graph', layout.height * state.zoom <= $('viewport').clientHeight || state.zoom <= 0.031, `${layout.height * state.zoom}`);

    foldAll(true);
    $('search').value = target.name;
    find(target.name, 0);
    check('a search selects what it finds', state.selected === 'o' + target.index, state.selected);
    find('no such name', 0);
    check('a search without result says so', $('found').textContent === 'none here');

    press('p', document.body);
    check('p shows the pipeline', !$('view-pipeline').hidden && document.querySelectorAll('#view-pipeline tbody tr').length === data.stages.length);
    press('d', document.body);
    check('d shows the difference', !$('view-difference').hidden);
    const plain = stage => stageText(stage, false).flatMap(s => s.lines);
    for (let i = 1; i < data.stages.length; i++) {
      showDifference(i);
      const [added, removed] = $('counts').textContent.match(/\d+/g).map(Number);
      const changes = data.stages[i].change.reduce((a, b) => a + b, 0) + (data.stages[i].header !== data.stages[i - 1].header ? 1 : 0);
      check(`the difference to ${data.stages[i].name} shows something exactly if something changed`, (added + removed > 0) === (changes > 0), `${added} ${removed} ${changes}`);
      // Undoing and doing the script gives the two texts.
      const a = plain(data.stages[i - 1]), b = plain(data.stages[i]), script = difference(a, b);
      const side = kind => script.filter(([k]) => k === ' ' || k === kind).map(([, line]) => line).join('\n');
      check(`the difference to ${data.stages[i].name} rebuilds both texts`, side('-') === a.join('\n') && side('+') === b.join('\n'));
    }
  } catch (error) {
    lines.push(`FAILED with ${error.stack}`);
  }
  const failed = lines.filter(line => line.startsWith('FAILED')).length;
  document.body.append(element('pre', { id: 'selftest', textContent: `${lines.join('\n')}\n${lines.length - failed} ok, ${failed} failed` }));
}

if (location.hash === '#selftest') selfTest();
