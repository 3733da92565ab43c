
'use strict';
(() => {
  const $ = (selector) => document.querySelector(selector);
  const rows = [...document.querySelectorAll('.row')];
  const buttons = [...document.querySelectorAll('[data-filter]')];
  const [search, compare, from, to, differing] = ['#search', '#compare', '#from', '#to', '#differing'].map($);
  // The text of each row, in lower case, once it has been searched.
  const texts = new Map();
  let status = 'all';

  const output = (row, column) => row.querySelector(`[data-column="${column}"] .output`);
  // The text of an output, also while it shows differences.
  const originals = new WeakMap();
  const original = (element) => (element ? originals.get(element) ?? element.textContent : '');
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const differs = (row) => original(output(row, from.value)) !== original(output(row, to.value));

  function filter() {
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const matches = (status === 'all' || row.dataset.status.split(' ').includes(status))
        && (!text || textOf(row).includes(text))
        && (!differing?.checked || differs(row));
      row.hidden = !matches;
      shown += matches ? 1 : 0;
    }
    $('.count').textContent = `${shown} of ${rows.length} rows`;
    $('.empty').hidden = shown > 0;
  }

  // Words, spaces, and single other characters.
  const tokens = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\s\p{L}\p{N}_]/gu) ?? [];
  // Beyond this product of lengths, two texts are shown one after the other: the comparison takes that many steps.
  const COMPARISON_MAX = 4e6;

  // The differences as [tag, text] in order: '' is in both texts.
  function difference(before, after) {
    const [a, b] = [tokens(before), tokens(after)];
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
    let end = 0;
    while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
    const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
    const parts = [['', a.slice(0, start).join('')]];
    const push = (tag, text) => {
      if (parts.at(-1)[0] === tag) parts.at(-1)[1] += text;
      else parts.push([tag, text]);
    };
    if (x.length * y.length > COMPARISON_MAX) {
      push('del', x.join(''));
      push('ins', y.join(''));
    } else {
      const width = y.length + 1;
      const longest = new Uint16Array((x.length + 1) * width);
      for (let i = x.length - 1; i >= 0; i -= 1) {
        for (let j = y.length - 1; j >= 0; j -= 1) {
          longest[i * width + j] = x[i] === y[j]
            ? longest[(i + 1) * width + j + 1] + 1
            : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
        }
      }
      let [i, j] = [0, 0];
      while (i < x.length || j < y.length) {
        if (i < x.length && j < y.length && x[i] === y[j]) {
          push('', x[i]);
          i += 1;
          j += 1;
        } else if (j === y.length || (i < x.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
          push('del', x[i]);
          i += 1;
        } else {
          push('ins', y[j]);
          j += 1;
        }
      }
    }
    push('', a.slice(a.length - end).join(''));
    return parts;
  }

  const changed = new Set();
  function restore() {
    for (const element of changed) element.textContent = originals.get(element);
    changed.clear();
  }

  function showDifference(row) {
    const element = output(row, to.value);
    if (!element || changed.has(element)) return;
    textOf(row);
    const text = original(element);
    originals.set(element, text);
    changed.add(element);
    element.replaceChildren(...difference(original(output(row, from.value)), text).map(([tag, part]) => {
      if (!tag) return part;
      const node = document.createElement(tag);
      node.textContent = part;
      return node;
    }));
  }

  // Differences are computed for the rows in view.
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) showDifference(entry.target);
  }, { rootMargin: '50%' });
  function update() {
    observer.disconnect();
    restore();
    if (compare.getAttribute('aria-pressed') === 'true') rows.forEach((row) => observer.observe(row));
    filter();
  }

  for (const button of buttons) {
    button.addEventListener('click', () => {
      status = button.dataset.filter;
      buttons.forEach((other) => other.setAttribute('aria-pressed', String(other === button)));
      filter();
    });
  }
  let timer;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(filter, 120);
  });
  compare?.addEventListener('click', () => {
    compare.setAttribute('aria-pressed', String(compare.getAttribute('aria-pressed') !== 'true'));
    update();
  });
  for (const control of [from, to]) control?.addEventListener('change', update);
  differing?.addEventListener('change', filter);
  document.addEventListener('keydown', (event) => {
    if (event.target === search && event.key === 'Escape') {
      search.value = '';
      filter();
    } else if (event.key === '/' && !/^(INPUT|SELECT)$/.test(event.target.tagName) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
  });
  $('.controls').hidden = false;
  filter();
})();
