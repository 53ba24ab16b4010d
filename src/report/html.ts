/**
 * HTML out of text that nobody vouches for. A template escapes all that is put into it, except what a template made; so a class named `<script>` is a
 * class with that name and nothing more.
 */

/** Markup that needs no more escaping. */
export class Html {
  constructor(readonly markup: string) {}

  toString(): string {
    return this.markup;
  }
}

export type Part = Html | string | number | null | false | undefined | readonly Part[];

/** html`<td>${name}</td>`: text is escaped, lists are put one after the other, null and false are left out. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((before, text, i) => before + markupOf(parts[i - 1]) + text));
}

/** Markup made by a library of ours, such as SVG. */
export function trusted(markup: string): Html {
  return new Html(markup);
}

function markupOf(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Html) return part.markup;
  if (Array.isArray(part)) return part.map(markupOf).join('');
  return escapeHtml(String(part));
}

/** For element content and quoted attribute values. */
export function escapeHtml(text: string): string {
  return clean(text).replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/**
 * A name as people may see it: control characters (they could break lines or files) as a visible mark, at most `most` characters. A name of ten
 * thousand characters would otherwise be in the page a hundred times.
 */
export function shortName(name: string, most = 100): string {
  const characters = [...clean(name.slice(0, 4 * most))];
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('');
}

/** Halves of surrogate pairs cannot be written as UTF-8, controls have no business in a page. */
function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is taken out
  return text.replace(/\p{Surrogate}/gu, '\ufffd').replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd');
}

/** A name from the data: cut, escaped, and set apart so that its writing direction turns nothing around it. */
export function nameHtml(name: string, most?: number): Html {
  const short = shortName(name, most);
  return html`<bdi${short === name ? '' : html` title="${shortName(name, 400)}"`}>${short}</bdi>`;
}
