'use strict';
// The page holds a conversation with POST v1/chat/completions. Texts of the model, of files and of errors come into the page as text nodes
// alone: a picture may have put them there. The policy that the page is sent with forbids the rest (page.h).
(() => {
  const $ = (id) => document.getElementById(id);
  // make('p', {className: 'x', 'aria-label': 'y'}, child...): properties where the element has them, attributes otherwise.
  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }
  const stored = {
    get(where, name) {
      try { return where().getItem(name) || ''; } catch { return ''; }
    },
    set(where, name, value) {
      try { where().setItem(name, value); } catch { /* A browser that keeps nothing loses what was set, and no more. */ }
    },
  };
  const local = () => localStorage, session = () => sessionStorage;

  let model = '';
  // {pictures: [{name, url, width, height}], question, answer, state, error, finish, usage, timings, measured, node, parts}; `url` is a
  // data URL, `state` is growing, done, stopped or failed.
  let turns = [];
  let waiting = [];   // pictures that go with the next question
  let growing = null; // {turn, abort} while an answer grows
  let editing = null; // {question, pictures} that the composer had before the last question was put into it

  // What is read out. Whole sentences at least three seconds apart: a screen reader that is told each token says none to its end.
  const speaker = {
    text: '', at: 0, timer: 0,
    begin() { $('spoken').replaceChildren(); this.text = ''; this.at = performance.now(); },
    add(piece) {
      this.text += piece;
      if (performance.now() - this.at < 3000) return;
      const end = Math.max(0, ...[...this.text.matchAll(/[.!?:;](?=\s)|[\n\u3002\uff01\uff1f]/g)].map((m) => m.index + 1));
      if (end) { this.say(this.text.slice(0, end)); this.text = this.text.slice(end); }
    },
    end(words) { this.say(this.text); this.text = ''; this.say(words); },
    say(words) {
      if (!words.trim()) return;
      $('spoken').append(make('p', {}, words));
      this.at = performance.now();
      // What was told is not to be found a second time behind the conversation.
      clearTimeout(this.timer);
      this.timer = setTimeout(() => $('spoken').replaceChildren(), 20000);
    },
  };
  function alarm(words) { $('alarm').textContent = words; }

  // A line above the composer; `act` is {label, run} of a button, or nothing.
  function notice(words, isBad = false, act = null) {
    $('notice').className = isBad ? 'notice bad' : 'notice';
    $('notice').replaceChildren(make('span', {}, words));
    if (act) $('notice').append(make('button', {type: 'button', onclick() { notice(''); act.run(); }}, act.label));
    $('notice').hidden = !words;
  }

  // Settings

  const numbers = ['temperature', 'top_p', 'top_k', 'seed', 'max_tokens'];
  const fields = [...numbers, 'system', 'stops', 'schema'];

  function loadSettings() {
    let values = {};
    try { values = JSON.parse(stored.get(local, 'lmmc-settings')) || {}; } catch { /* none yet */ }
    for (const name of fields) $(name).value = typeof values[name] === 'string' ? values[name] : '';
    $('key').value = stored.get(session, 'lmmc-key');
    settingsChanged();
  }
  function settingsChanged() {
    const values = Object.fromEntries(fields.map((name) => [name, $(name).value]));
    stored.set(local, 'lmmc-settings', JSON.stringify(values));
    stored.set(session, 'lmmc-key', $('key').value);
    const wrong = schemaError();
    $('schema').setAttribute('aria-invalid', String(!!wrong));
    $('schema-hint').textContent = wrong || 'The answer is then valid JSON under it, unless it is cut.';
    const count = fields.filter((name) => $(name).value.trim()).length;
    $('open-settings').textContent = count ? `Settings (${count})` : 'Settings';
  }
  function schemaError() {
    const text = $('schema').value.trim();
    if (!text) return '';
    try {
      const value = JSON.parse(text);
      return value && typeof value === 'object' && !Array.isArray(value) ? '' : 'A schema is an object: {...}';
    } catch (error) { return `This is no JSON: ${error.message}`; }
  }
  // The first field that cannot be sent as it is; null where all can.
  function wrongField() { return fields.map($).find((field) => !field.checkValidity()) || (schemaError() ? $('schema') : null); }
  function openSettings(field) {
    if (!$('settings').open) $('settings').showModal();
    if (field) field.focus();
    if (field && !field.checkValidity()) field.reportValidity();
  }
  function sampling() {
    const body = {};
    for (const name of numbers) if ($(name).value !== '') body[name] = Number($(name).value);
    const stops = $('stops').value.split('\n').filter((line) => line).map((line) => line.replaceAll('\\n', '\n'));
    if (stops.length) body.stop = stops;
    const schema = $('schema').value.trim();
    if (schema) body.response_format = {type: 'json_schema', json_schema: {name: 'answer', strict: true, schema: JSON.parse(schema)}};
    return body;
  }
  const authorization = () => ($('key').value ? {Authorization: `Bearer ${$('key').value}`} : {});

  // Asks for the model's name; whether the server told it. Why not is said above the composer, unless somebody else says it.
  async function findModel(isQuiet = false) {
    try {
      const response = await fetch('v1/models', {headers: authorization(), cache: 'no-store'});
      if (!response.ok) throw await refusal(response);
      model = String((await response.json()).data[0].id);
      $('model').textContent = $('model').title = document.title = model;
      return true;
    } catch (error) {
      const refused = error instanceof Refusal;
      const act = refused && error.wantsKey ? {label: 'Give the key', run: () => openSettings($('key'))}
        : {label: 'Try again', run: () => findModel()};
      if (!isQuiet) notice(refused ? error.message : 'The server cannot be reached. Is it running?', true, act);
      return false;
    }
  }

  // Pictures

  // The type that the bytes say; '' where it is none that the server reads.
  function pictureType(bytes) {
    const begin = String.fromCharCode(...bytes);
    if (begin.startsWith('\xff\xd8\xff')) return 'image/jpeg';
    if (begin.startsWith('\x89PNG')) return 'image/png';
    return begin.startsWith('RIFF') && begin.slice(8, 12) === 'WEBP' ? 'image/webp' : '';
  }
  // Whether a JPEG says that it is to be turned or mirrored (EXIF's orientation), as telephones' do.
  function isTurned(buffer) {
    const view = new DataView(buffer);
    try {
      for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
        if (view.getUint16(at) !== 0xffe1 || view.getUint32(at + 4) !== 0x45786966) continue;
        const tiff = at + 10, little = view.getUint16(tiff) === 0x4949, list = tiff + view.getUint32(tiff + 4, little);
        for (let entry = list + 2, left = view.getUint16(list, little); left > 0; entry += 12, left--)
          if (view.getUint16(entry, little) === 0x112) return view.getUint16(entry + 8, little) > 1;
      }
    } catch { /* It ends before it says so. */ }
    return false;
  }
  // The picture drawn as people see it. No browser draws more than 4096 points a side everywhere.
  function upright(image) {
    const scale = Math.min(1, 4096 / Math.max(image.naturalWidth, image.naturalHeight));
    const canvas = make('canvas', {width: Math.round(scale * image.naturalWidth), height: Math.round(scale * image.naturalHeight)});
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', 0.95);
  }
  async function addPictures(files) {
    notice('');
    const refused = [];
    for (const file of files) {
      try {
        const type = pictureType(new Uint8Array(await file.slice(0, 12).arrayBuffer()));
        if (!type) throw new Error('is no JPEG, PNG or WebP picture');
        let url = await new Promise((done, fail) => {
          const reader = new FileReader();
          reader.onload = () => done(reader.result);
          reader.onerror = () => fail(new Error('cannot be read'));
          reader.readAsDataURL(new Blob([file], {type}));
        });
        const image = new Image();
        image.src = url;
        await image.decode().catch(() => { throw new Error('is damaged: it cannot be shown'); });
        // The model is shown the points as they are stored, so a picture that lies on its side in its file is put upright here.
        if (type === 'image/jpeg' && isTurned(await file.slice(0, 1 << 18).arrayBuffer())) url = upright(image);
        waiting.push({name: file.name || 'picture', url, width: image.naturalWidth, height: image.naturalHeight});
      } catch (error) { refused.push(`${file.name || 'the file'} ${error.message}`); }
    }
    if (refused.length) notice(`Not added: ${refused.join('; ')}.`, true);
    showWaiting();
    $('question').focus();
  }
  function icon(path) {
    const ns = 'http://www.w3.org/2000/svg';
    const svg = document.createElementNS(ns, 'svg'), line = document.createElementNS(ns, 'path');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    line.setAttribute('d', path);
    svg.append(line);
    return svg;
  }
  function showWaiting() {
    $('pictures').replaceChildren(...waiting.map((picture, index) => make('li', {},
      make('img', {src: picture.url, alt: picture.name, title: `${picture.name}, ${picture.width} \xd7 ${picture.height}`}),
      make('button', {
        type: 'button', 'aria-label': `Remove ${picture.name}`, onclick() {
          waiting.splice(index, 1);
          showWaiting();
          ($('pictures').querySelectorAll('button')[Math.min(index, waiting.length - 1)] || $('question')).focus();
        },
      }, icon('M6 6l12 12M18 6L6 18')))));
    $('pictures').hidden = !waiting.length;
    composerChanged();
  }

  // The composer

  function composerChanged() {
    const field = $('question');
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight}px`;
    $('send').disabled = !field.value.trim() && !waiting.length;
  }
  function fill(question, pictures) {
    $('question').value = question;
    waiting = pictures;
    showWaiting();
  }
  function beginEdit() {
    const last = turns[turns.length - 1];
    if (!editing) editing = {question: $('question').value, pictures: waiting};
    fill(last.question, [...last.pictures]);
    $('editing').hidden = false;
    $('question').focus();
  }
  function endEdit(draft) {
    editing = null;
    $('editing').hidden = true;
    fill(draft.question, draft.pictures);
  }
  function cancelEdit() {
    endEdit(editing);
    $('question').focus();
  }
  function send() {
    const question = $('question').value.trim();
    if (growing || (!question && !waiting.length)) return;
    const field = wrongField();
    if (field) return openSettings(field);
    notice('');
    if (editing) turns.pop().node.remove();
    const turn = {pictures: waiting, question, answer: ''};
    endEdit({question: '', pictures: []});
    turns.push(turn);
    showTurn(turn);
    ask(turn);
  }

  // The conversation on the page

  const duration = (ms) => (ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`);
  const isCount = (value) => Number.isFinite(value) && value >= 0;
  const isTime = (value) => Number.isFinite(value) && value > 0;

  function showTurn(turn) {
    const button = (label, run, last) =>
      make('button', {type: 'button', className: last ? 'plain last-only' : 'plain', onclick: run}, label);
    const shown = turn.pictures.map((picture) => make('img', {src: picture.url, alt: picture.name, title: picture.name}));
    const number = turns.indexOf(turn) + 1;
    const asked = make('div', {className: 'asked'}, make('h2', {className: 'unseen'}, `Question ${number}`));
    if (shown.length) asked.append(make('div', {className: shown.length > 1 ? 'shown many' : 'shown'}, ...shown));
    if (turn.question) asked.append(make('p', {className: 'words', dir: 'auto'}, turn.question));
    asked.append(make('div', {className: 'actions'}, button('Edit', beginEdit, true)));
    const parts = turn.parts = {
      text: document.createTextNode(''), state: make('p', {className: 'state'}), figures: make('dl', {className: 'figures', hidden: true}),
      error: make('div', {hidden: true}), actions: make('div', {className: 'actions'}),
    };
    parts.words = make('p', {className: 'words', dir: 'auto'}, parts.text);
    if (navigator.clipboard) parts.actions.append(parts.copy = button('Copy', () => copy(turn)));
    parts.actions.append(button('Ask again', () => askAgain(turn), true));
    const answered = make('div', {className: 'answered'}, make('h2', {className: 'unseen'}, `Answer ${number}`),
      parts.words, parts.error, parts.state, parts.figures, parts.actions);
    turn.node = make('li', {className: 'turn'}, asked, answered);
    $('turns').append(turn.node);
    $('welcome').hidden = true;
    isAtEnd = true;
    showEnd();
  }
  // The view stays with the end of the conversation where it is there, whatever grows.
  let isAtEnd = true, lastTop = 0;
  function showEnd() { $('talk').scrollTop = $('talk').scrollHeight; }
  function hasScrolled() {
    const {scrollTop, scrollHeight, clientHeight} = $('talk');
    // What grows before this is told is no reason to leave the end; going up is.
    if (scrollHeight - scrollTop - clientHeight < 60) isAtEnd = true;
    else if (scrollTop < lastTop) isAtEnd = false;
    lastTop = scrollTop;
  }

  // Everything of a turn but the text, which grows by itself.
  function refresh(turn) {
    const isGrowing = turn.state === 'growing', {parts} = turn;
    turn.node.classList.toggle('growing', isGrowing && !!turn.answer);
    parts.words.hidden = !turn.answer;
    parts.actions.hidden = isGrowing;
    if (parts.copy) parts.copy.hidden = !turn.answer;
    const before = turn.pictures.length ? 'Looking at the picture \u2026' : 'Reading the question \u2026';
    parts.state.textContent = isGrowing && !turn.answer ? before
      : turn.state === 'stopped' ? (turn.answer ? 'Stopped.' : 'Stopped before the answer began.')
      : turn.state === 'done' && turn.finish === 'length' ? 'Cut: the answer came to the limit of its tokens.'
      : turn.state === 'done' && !turn.answer ? 'The answer is empty.' : '';
    if (!isGrowing && !turn.answer) parts.state.textContent += ' Later questions go without this one, unless it is asked again.';
    parts.state.hidden = !parts.state.textContent;
    showFigures(turn);
    document.body.classList.toggle('busy', !!growing);
    $('send').hidden = !!growing;
    $('stop').hidden = !growing;
    $('keys').textContent = growing ? 'Esc stops' : 'Enter sends, Shift+Enter makes a line';
    $('new').disabled = $('export').disabled = !turns.length;
  }
  function showFigures(turn) {
    const {timings = {}, usage = {}, measured = {}, parts} = turn;
    const list = [];
    const add = (name, value, ...more) => list.push(make('div', {}, make('dt', {}, name), make('dd', {}, value), ...more));
    if (isTime(timings.vision)) add('tower', duration(timings.vision));
    if (isTime(timings.prefill)) add('prefill', duration(timings.prefill));
    const first = isTime(timings.time_to_first_token) ? timings.time_to_first_token : measured.first;
    if (isTime(first)) add('first token', duration(first));
    const rate = isTime(timings.tokens_per_second) ? timings.tokens_per_second : measured.rate;
    if (isTime(rate)) add('tokens/s', rate.toFixed(rate < 100 ? 1 : 0));
    if (isCount(usage.completion_tokens)) add('answer', usage.completion_tokens === 1 ? '1 token' : `${usage.completion_tokens} tokens`);
    const seen = (usage.prompt_tokens_details || {}).image_tokens, prompt = usage.prompt_tokens;
    if (isCount(seen) && isCount(prompt) && prompt > 0 && seen <= prompt) {
      const bar = make('i');
      bar.style.width = `${(100 * seen) / prompt}%`;
      const words = `${seen} of ${prompt} tokens (${Math.round((100 * seen) / prompt)} %)`;
      add('vision', words, make('span', {className: 'share', 'aria-hidden': 'true'}, bar));
    } else if (isCount(prompt)) add('prompt', `${prompt} tokens`);
    if (list.length && !isTime(timings.time_to_first_token)) add('measured', 'by this page');
    parts.figures.replaceChildren(...list);
    parts.figures.hidden = !list.length || turn.state === 'growing';
  }
  function showError(turn) {
    const {parts, error} = turn;
    parts.error.className = 'notice bad';
    parts.error.hidden = !error;
    parts.error.replaceChildren();
    if (!error) return;
    parts.error.append(make('span', {className: 'words'}, error.message));
    if (error.wantsKey) parts.error.append(make('button', {type: 'button', onclick: () => openSettings($('key'))}, 'Give the key'));
    if (isTime(error.at)) {
      const left = make('span', {});
      const count = () => {
        const seconds = Math.ceil((error.at - Date.now()) / 1000);
        left.textContent = seconds > 0 ? `${seconds} s left.` : 'Now is a good time.';
        if (seconds <= 0 || !left.isConnected) clearInterval(timer);
      };
      const timer = setInterval(count, 1000);
      parts.error.append(left);
      count();
    }
  }
  async function copy(turn) {
    try {
      await navigator.clipboard.writeText(turn.answer);
      speaker.say('Copied.');
    } catch { notice('The browser does not let this page copy.', true); }
  }

  // Asking

  class Refusal extends Error {
    constructor(words, more = {}) { super(words); Object.assign(this, more); }
  }
  async function refusal(response) {
    const {status} = response;
    let said = '';
    try { const {error} = await response.json(); said = String(error.message || error); } catch { /* no reason in OpenAI's form */ }
    const quoted = said ? ` The server says: \u201c${said}\u201d.` : '';
    if (status === 401 || status === 403)
      return new Refusal($('key').value ? 'The server does not take this API key.' : 'The server wants an API key.', {wantsKey: true});
    if (status === 429 || status === 503) {
      const text = response.headers.get('Retry-After') || '';
      const at = /^\s*\d+\s*$/.test(text) ? Date.now() + 1000 * Number(text) : Date.parse(text);
      if (!(at < 8e15)) return new Refusal(`The server is busy. Try again in a while.${quoted}`);
      const seconds = Math.max(1, Math.ceil((at - Date.now()) / 1000));
      const when = `${seconds} second${seconds === 1 ? '' : 's'}, at ${new Date(at).toLocaleTimeString()}`;
      return new Refusal(`The server is busy. Try again in ${when}.${quoted}`, {at});
    }
    if (status === 413) return new Refusal(`This is too much for the server: fewer or smaller pictures may do.${quoted}`);
    if (status === 408 || status === 504) return new Refusal(`The server's time for an answer is over.${quoted}`);
    if (status === 404 || status === 405) return new Refusal(`There is no /v1 API at this address.${quoted}`);
    if (status >= 500) return new Refusal(`The server failed (${status}).${quoted}`);
    return new Refusal(`The server refuses this question (${status}).${quoted}`);
  }

  function messages(last) {
    const list = [];
    const system = $('system').value.trim();
    if (system) list.push({role: 'system', content: system});
    for (const turn of turns) {
      if (turn !== last && !turn.answer) continue;
      list.push({role: 'user', content: content(turn)});
      if (turn !== last) list.push({role: 'assistant', content: turn.answer});
    }
    return list;
  }
  function content(turn) {
    if (!turn.pictures.length) return turn.question;
    const parts = turn.pictures.map((picture) => ({type: 'image_url', image_url: {url: picture.url}}));
    if (turn.question) parts.push({type: 'text', text: turn.question});
    return parts;
  }

  // The data of each event of a stream (text/event-stream).
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '', data = [];
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
        else if (!line && data.length) { yield data.join('\n'); data = []; }
      }
    }
  }

  async function ask(turn) {
    const abort = new AbortController();
    growing = {turn, abort};
    Object.assign(turn, {answer: '', state: 'growing', error: null, finish: '', usage: {}, timings: {}, measured: {}});
    turn.parts.text.data = '';
    if (document.activeElement !== $('question')) { $('stop').hidden = false; $('stop').focus(); }
    showError(turn);
    refresh(turn);
    speaker.begin();
    speaker.say('Asking.');
    const begun = performance.now();
    let first = 0, last = 0, pieces = 0, isWhole = false, timer = 0, unseen = '';
    const flush = () => {
      timer = 0;
      turn.parts.text.appendData(unseen);
      unseen = '';
    };
    const take = (piece) => {
      last = performance.now();
      pieces++;
      turn.answer += piece;
      unseen += piece;
      if (!first) { first = last; refresh(turn); }
      if (!timer) timer = setTimeout(flush, 25);
      speaker.add(piece);
    };
    const read = (chunk) => {
      if (chunk.error) throw new Refusal(`The server gave the answer up. It says: \u201c${chunk.error.message || chunk.error}\u201d.`);
      const choice = (chunk.choices || [])[0];
      const text = choice && (choice.delta || choice.message || {}).content;
      if (text) take(String(text));
      if (choice && choice.finish_reason) { turn.finish = String(choice.finish_reason); isWhole = true; }
      if (chunk.usage) turn.usage = chunk.usage;
      if (chunk.timings) turn.timings = chunk.timings;
    };
    try {
      if (!model) await findModel(true);
      const body = {messages: messages(turn), ...sampling(), stream: true, stream_options: {include_usage: true}};
      if (model) body.model = model;
      const response = await fetch('v1/chat/completions', {
        method: 'POST', headers: {'Content-Type': 'application/json', ...authorization()}, body: JSON.stringify(body), signal: abort.signal,
        cache: 'no-store', redirect: 'error',
      });
      if (!response.ok) throw await refusal(response);
      if ((response.headers.get('Content-Type') || '').startsWith('application/json')) read(await response.json());
      else for await (const data of events(response.body)) {
        if (data === '[DONE]') { isWhole = true; continue; }
        read(JSON.parse(data));
      }
      if (!isWhole) throw new Refusal('The connection broke before the answer was whole.');
      turn.state = 'done';
    } catch (error) {
      turn.state = abort.signal.aborted ? 'stopped' : 'failed';
      if (turn.state === 'failed')
        turn.error = error instanceof Refusal ? error
          : error instanceof SyntaxError ? new Refusal('What the server sent is no answer in the form of OpenAI\u2019s API.')
          : new Refusal(pieces ? 'The connection broke before the answer was whole.' : 'The server cannot be reached. Is it running?');
    }
    clearTimeout(timer);
    flush();
    growing = null;
    const count = isCount(turn.usage.completion_tokens) ? turn.usage.completion_tokens : pieces;
    if (pieces) turn.measured = {first: first - begun, rate: count > 1 && last > first + 10 ? (1000 * (count - 1)) / (last - first) : 0};
    showError(turn);
    refresh(turn);
    if (!turns.includes(turn)) return;
    speaker.end(turn.state === 'done' ? 'The answer is whole.' : turn.state === 'stopped' ? 'Stopped.' : '');
    alarm(turn.error ? turn.error.message : '');
    if (!document.activeElement || document.activeElement === document.body || document.activeElement.hidden) $('question').focus();
  }
  function askAgain(turn) {
    if (growing) return;
    if (editing) endEdit(editing);
    $('question').blur();
    ask(turn);
  }
  function stop() { if (growing) growing.abort.abort(); }

  function begin() {
    const before = turns;
    stop();
    show([]);
    notice('A new conversation begins.', false, {label: 'Take back', run: () => show(before)});
    $('question').focus();
  }
  function show(list) {
    if (editing) endEdit(editing);
    turns = list;
    $('turns').replaceChildren(...turns.map((turn) => turn.node));
    $('welcome').hidden = !!turns.length;
    $('new').disabled = $('export').disabled = !turns.length;
    $('question').focus();
  }

  // Export

  function download(ending, type, text) {
    const name = `conversation-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.${ending}`;
    const href = URL.createObjectURL(new Blob([text], {type}));
    make('a', {href, download: name}).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
    $('exports').hidePopover?.();
    $('export').focus();
  }
  function asJson() {
    const list = messages(null);
    const answers = turns.map(({state, finish, usage, timings, measured, error}) =>
      ({state, finish_reason: finish, usage, timings, measured, error: error ? error.message : undefined}));
    const settings = sampling();
    return JSON.stringify({model, exported: new Date().toISOString(), settings, messages: list, answers}, null, 2) + '\n';
  }
  // Texts stand between fences that are longer than any in them, so that whoever renders the file sees them as they are.
  function asMarkdown() {
    const fence = (text) => {
      const ticks = '`'.repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map((m) => m[0].length + 1)));
      return `${ticks}text\n${text}\n${ticks}\n`;
    };
    const plain = (text) => text.replace(/[\x00-\x1f]/g, ' ').replace(/[\\`*_{}[\]<>()#+!|&~-]/g, '\\$&');
    let text = `# Conversation with ${plain(model || 'a model')}\n\n${new Date().toISOString()}\n`;
    if ($('system').value.trim()) text += `\n## System\n\n${fence($('system').value.trim())}`;
    for (const turn of turns) {
      text += '\n## Question\n\n';
      for (const {name, width, height} of turn.pictures) text += `Picture: ${plain(name)}, ${width} \xd7 ${height}\n\n`;
      if (turn.question) text += fence(turn.question);
      text += `\n## Answer\n\n${turn.answer ? fence(turn.answer) : 'None.\n'}`;
      const figures = [...turn.parts.figures.children].map((item) => [...item.children].map((part) => part.textContent).join(' ').trim());
      if (figures.length) text += `\n${figures.join(', ')}\n`;
      if (turn.state === 'stopped') text += '\nStopped.\n';
      if (turn.error) text += `\n${plain(turn.error.message)}\n`;
    }
    return text;
  }

  // Events

  function isOpen(popover) {
    try { return popover.matches(':popover-open'); } catch { return false; /* a browser that has no popovers */ }
  }

  $('composer').addEventListener('submit', (event) => { event.preventDefault(); send(); });
  $('question').addEventListener('input', composerChanged);
  $('question').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (growing) speaker.say('An answer is still growing. Escape stops it.');
    send();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.isComposing || event.defaultPrevented || $('settings').open || isOpen($('exports'))) return;
    if (growing) stop();
    else if (editing) cancelEdit();
  });
  $('stop').addEventListener('click', stop);
  $('new').addEventListener('click', begin);
  $('cancel').addEventListener('click', cancelEdit);
  $('choose').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', () => {
    const files = [...$('file').files];
    $('file').value = '';
    addPictures(files);
  });
  $('as-json').addEventListener('click', () => download('json', 'application/json', asJson()));
  $('as-markdown').addEventListener('click', () => download('md', 'text/markdown', asMarkdown()));

  $('open-settings').addEventListener('click', () => openSettings());
  $('close-settings').addEventListener('click', () => $('settings').close());
  $('settings').addEventListener('click', (event) => { if (event.target === $('settings')) $('settings').close(); });
  $('settings').addEventListener('close', () => { if (!model && $('key').value) findModel().then((found) => found && notice('')); });
  $('fields').addEventListener('input', settingsChanged);
  $('fields').addEventListener('submit', (event) => { event.preventDefault(); $('settings').close(); });
  $('reset').addEventListener('click', () => {
    for (const name of [...fields, 'key']) $(name).value = '';
    settingsChanged();
    $('temperature').focus();
  });

  document.addEventListener('paste', (event) => {
    const {files} = event.clipboardData;
    // Where words come with a picture of them, as office programs have it, the words are meant.
    if (!files.length || $('settings').open || event.clipboardData.getData('text/plain')) return;
    event.preventDefault();
    addPictures([...files]);
  });
  const hasFiles = (event) => event.dataTransfer.types.includes('Files') && !$('settings').open;
  let depth = 0;
  document.addEventListener('dragenter', (event) => { if (hasFiles(event)) { depth++; $('curtain').hidden = false; } });
  document.addEventListener('dragleave', (event) => { if (hasFiles(event) && !--depth) $('curtain').hidden = true; });
  document.addEventListener('dragover', (event) => {
    // What is dropped beside a text field would lead away from the page.
    if (hasFiles(event) || !event.target.closest?.('textarea, input')) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    const files = hasFiles(event) ? [...event.dataTransfer.files] : [];
    if (files.length || !event.target.closest?.('textarea, input')) event.preventDefault();
    depth = 0;
    $('curtain').hidden = true;
    if (files.length) addPictures(files);
  });

  $('talk').addEventListener('scroll', hasScrolled, {passive: true});
  const sizes = new ResizeObserver(() => { if (isAtEnd) showEnd(); });
  for (const node of [$('talk'), $('turns')]) sizes.observe(node);

  loadSettings();
  composerChanged();
  $('question').focus();
  findModel();
})();
