/** What the page says, in both of its languages. `{…}` is filled in. */

export type Language = 'en' | 'zh';

export type TextKey = keyof typeof english;

const english = {
  drop: 'Drop a picture here',
  dropHint: 'or paste one, or choose a file',
  choose: 'Choose a file',
  camera: 'Use the camera',
  stopCamera: 'Stop the camera',
  another: 'Drop, paste or choose another at any time',
  results: 'What the model sees',
  waiting: 'The answer appears here.',
  loading: 'Loading the model …',
  loadingShare: 'Loading the model … {percent} %',
  starting: 'Getting ready …',
  thinking: 'Looking …',
  took: '{ms} ms',
  tookThreads: '{ms} ms on {threads} threads',
  facts: '{classes} classes · {height} × {width} pixels',
  factsShort: '{classes} classes',
  privateLocal: 'Everything happens in this browser. The picture never leaves your device.',
  privateServer: 'The picture goes to this server and nowhere else; it is not kept.',
  picture: 'The picture that was classified',
  cameraView: 'What the camera sees',
  noCamera: 'The camera cannot be used: {reason}',
  failed: 'That did not work: {reason}',
  token: 'Token of the server',
  tokenHint: 'This server asks for a token.',
  language: '中文',
  notStarted:
    'This page needs a web server, since browsers do not load modules from files on disk. In its folder: npx serve, then open the address that is printed.',
};

const chinese: Record<TextKey, string> = {
  drop: '把图片拖到这里',
  dropHint: '也可以粘贴，或选择文件',
  choose: '选择文件',
  camera: '使用摄像头',
  stopCamera: '关闭摄像头',
  another: '随时可以再拖入、粘贴或选择一张',
  results: '模型看到了什么',
  waiting: '结果会显示在这里。',
  loading: '正在载入模型……',
  loadingShare: '正在载入模型…… {percent}%',
  starting: '正在准备……',
  thinking: '正在识别……',
  took: '{ms} 毫秒',
  tookThreads: '{ms} 毫秒，{threads} 个线程',
  facts: '{classes} 个类别 · {height} × {width} 像素',
  factsShort: '{classes} 个类别',
  privateLocal: '一切都在浏览器中完成，图片不会离开您的设备。',
  privateServer: '图片只发送到这台服务器，不会被保存。',
  picture: '被识别的图片',
  cameraView: '摄像头画面',
  noCamera: '无法使用摄像头：{reason}',
  failed: '没有成功：{reason}',
  token: '服务器令牌',
  tokenHint: '这台服务器需要令牌。',
  language: 'English',
  notStarted:
    '浏览器不能从磁盘直接载入模块，此页面需要网页服务器。请在该文件夹中运行 npx serve，然后打开它显示的地址。',
};

export const texts: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = { en: english, zh: chinese };

/** A text with its blanks filled in. */
export function say(language: Language, key: TextKey, values: Readonly<Record<string, string | number>> = {}): string {
  return texts[language][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

/** The first of a visitor's languages that the page speaks. */
export function preferredLanguage(languages: readonly string[]): Language {
  for (const tag of languages) {
    if (/^zh\b/i.test(tag)) return 'zh';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}
