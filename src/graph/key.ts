/** Text keys of attributes: equal keys, equal meaning. JSON alone would take NaN, ∞ and null for one another, and −0 for 0. */

export function attrsKey(attrs: unknown): string {
  if (attrs === null || attrs === undefined) return '';
  const text = JSON.stringify(attrs);
  if (text === '{}') return '';
  if (!text.includes('null') && !Object.is((attrs as { value?: unknown }).value, -0)) return text;
  return JSON.stringify(attrs, (_, v) =>
    typeof v === 'number' && (!Number.isFinite(v) || Object.is(v, -0)) ? `#${Object.is(v, -0) ? '-0' : v}` : v,
  );
}
