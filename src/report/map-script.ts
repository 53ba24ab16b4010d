/** What the map of a data set does when it may run code: shows the sample that is pointed at, and one class alone. It changes classes and one small box. */

export const mapScript = `
(() => {
  const figure = document.querySelector('.scatter');
  if (!figure) return;
  const dots = [...figure.querySelectorAll('[aria-label=dot] > *')];
  const labels = figure.dataset.labels.split(' ');
  const pictures = new Map(figure.dataset.pictures.split(' ').map((p) => [String(parseInt(p, 10)), p.endsWith('s')]));
  const tip = figure.querySelector('.tip');
  const picture = tip.querySelector('.pic');
  const words = tip.querySelector('.words');
  const titles = dots.map((dot) => {
    const title = dot.querySelector('title');
    const text = title ? title.textContent : '';
    if (title) title.remove();
    return text;
  });
  const places = new Map(dots.map((dot, i) => [dot, i]));
  const show = (dot) => {
    const i = places.get(dot);
    if (i === undefined || dot.classList.contains('away')) { tip.hidden = true; return; }
    words.textContent = titles[i];
    picture.hidden = !pictures.has(String(i));
    picture.className = 'pic p' + i + (pictures.get(String(i)) ? ' small' : '');
    tip.hidden = false;
    const box = figure.getBoundingClientRect();
    const at = dot.getBoundingClientRect();
    const left = at.left - box.left + at.width / 2;
    tip.style.left = Math.max(4, Math.min(box.width - tip.offsetWidth - 4, left - tip.offsetWidth / 2)) + 'px';
    const above = at.top - box.top - tip.offsetHeight - 8;
    tip.style.top = (above < 0 && at.top < tip.offsetHeight + 60 ? at.bottom - box.top + 8 : above) + 'px';
  };
  figure.addEventListener('pointerover', (event) => show(event.target));
  figure.addEventListener('pointerleave', () => { tip.hidden = true; });
  const buttons = [...figure.querySelectorAll('.legend button')];
  for (const button of buttons) {
    button.addEventListener('click', () => {
      const chosen = button.getAttribute('aria-pressed') !== 'true';
      for (const other of buttons) other.setAttribute('aria-pressed', String(chosen && other === button));
      dots.forEach((dot, i) => dot.classList.toggle('away', chosen && labels[i] !== button.dataset.label));
    });
  }
})();
`;
