/**
 * What a report's page does when it may run code: begins in the reader's language, shows the pictures of a cell without a jump, sorts the table of
 * classes. Without code the same links lead to the same pictures. It reads the page and writes nothing but classes and order.
 */

export const script = `
(() => {
  const root = document.documentElement;
  root.classList.add('js');
  const languages = { en: document.getElementById('lang-en'), zh: document.getElementById('lang-zh') };
  const tell = () => { root.lang = languages.zh.checked ? 'zh-CN' : 'en'; };
  if (/^zh/i.test(navigator.language || '')) languages.zh.checked = true;
  tell();
  for (const radio of Object.values(languages)) radio.addEventListener('change', tell);

  const links = [...document.querySelectorAll('a[href^="#pair-"]')];
  const show = (id) => {
    for (const panel of document.querySelectorAll('.pair')) panel.classList.toggle('shown', panel.id === id);
    for (const link of links) {
      if (link.getAttribute('href') === '#' + id) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  };
  for (const link of links) {
    link.addEventListener('click', (event) => {
      event.preventDefault();
      const id = link.getAttribute('href').slice(1);
      show(id);
      document.getElementById(id).scrollIntoView({ block: 'nearest' });
    });
  }
  const asked = location.hash.startsWith('#pair-') && document.getElementById(location.hash.slice(1));
  const first = asked || document.querySelector('.pair');
  if (first) show(first.id);

  for (const table of document.querySelectorAll('table.sortable')) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector('button').addEventListener('click', () => {
        const value = (row) => row.cells[column].dataset.v;
        const rows = [...table.tBodies[0].rows];
        const byText = rows.some((row) => Number.isNaN(Number(value(row))));
        const before = head.getAttribute('aria-sort') || (byText ? 'descending' : 'ascending');
        const up = before === 'descending';
        rows.sort((a, b) => (byText ? value(b).localeCompare(value(a)) : Number(value(b)) - Number(value(a))));
        if (up) rows.reverse();
        table.tBodies[0].append(...rows);
        for (const other of heads) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      });
    });
  }
})();
`;
