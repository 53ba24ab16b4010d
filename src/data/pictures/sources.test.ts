/** Where labelled pictures are found: folders, tables, Parquet files, tar archives; and what is not taken. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { classFolders, folderOf, picture } from '../../../test/pictures.js';
import { memorySource } from '../../io/byte-source.js';
import { decodeImage } from '../../io/picture.node.js';
import { FormatError } from '../../util/errors.js';
import { openPictures } from './open.node.js';
import { SourceReader } from './read.node.js';
import type { PictureSet } from './sample.js';
import { tarEntries } from './tar.js';

const golden = fileURLToPath(new URL('../../../test/golden/data/parquet', import.meta.url));
const names = ({ samples }: PictureSet) => samples.map(({ name }) => name);
const labels = ({ samples, classes }: PictureSet) => samples.map(({ label }) => classes[label]);

describe('folders of classes', () => {
  it('are read in the order of their names, at any depth, whatever the case of the ending', async () => {
    const one = await picture(1);
    const set = await openPictures(
      folderOf({
        'dogs/b.PNG': one,
        'dogs/a/deep/z.jpeg': one,
        'cats/10.webp': one,
        'cats/2.tif': one,
        'cats/notes.txt': 'no picture',
        'cats/drawing.BMP': one,
        'cats/.DS_Store': '',
        '.hidden/x.png': one,
        'loose.png': one,
      }),
    );
    expect(names(set)).toEqual(['cats/10.webp', 'cats/2.tif', 'dogs/a/deep/z.jpeg', 'dogs/b.PNG']);
    expect(labels(set)).toEqual(['cats', 'cats', 'dogs', 'dogs']);
    expect(set.format).toBe('folder');
    expect(set.leftOutCounts).toEqual({
      'not a picture': 1,
      'picture of a kind that is not read here: convert it to PNG or JPEG': 1,
      hidden: 2,
      'not in the folder of a class': 1,
    });
  });

  it('that are empty are no classes, and named', async () => {
    const folder = folderOf({ 'cats/1.png': await picture(1), 'dogs/1.png': await picture(2) });
    mkdirSync(join(folder, 'owls'));
    const set = await openPictures(folder);
    expect(set.classes).toEqual(['cats', 'dogs']);
    expect(set.leftOut).toEqual([{ name: 'owls', reason: 'empty folder' }]);
  });

  it('below train, val and test are parts of one set', async () => {
    const one = await picture(1);
    const set = await openPictures(
      folderOf({ 'Train/a/1.png': one, 'Train/b/2.png': one, 'valid/a/3.png': one, 'test/b/4.png': one }),
    );
    expect(set.classes).toEqual(['a', 'b']);
    expect(set.samples.map(({ name, split, label }) => [name, split, label])).toEqual([
      ['Train/a/1.png', 'train', 0],
      ['Train/b/2.png', 'train', 1],
      ['test/b/4.png', 'test', 1],
      ['valid/a/3.png', 'validation', 0],
    ]);
  });

  it('may be called train or test themselves, where others are not', async () => {
    const one = await picture(1);
    expect((await openPictures(folderOf({ 'bus/1.png': one, 'train/2.png': one }))).classes).toEqual(['bus', 'train']);
    const deep = await openPictures(folderOf({ 'bus/1.png': one, 'train/steam/2.png': one }));
    expect(deep.classes).toEqual(['bus', 'train']);
  });

  it('are explained where there are none', async () => {
    const one = await picture(1);
    await expect(openPictures(folderOf({ '1.png': one, '2.png': one }))).rejects.toThrow(
      /has 2 pictures and no folders of classes in it\. Labelled pictures lie like this:\n {2}photos\/cats\/1\.jpg/,
    );
    await expect(openPictures(folderOf({ 'a.txt': '' }))).rejects.toThrow('has no pictures in it, 1 other files');
    await expect(openPictures(folderOf({ 'train/a/1.png': one, 'test/2.png': one }))).rejects.toThrow(
      'test/ has pictures but no folders of classes',
    );
    await expect(openPictures(folderOf({ 'train/a/1.png': one, 'test/b/2.png': one }))).rejects.toThrow(
      "test/b/2.png is of the class 'b', which train/ does not have. It has a.",
    );
    await expect(
      openPictures(folderOf({ 'train/a/1.png': one, 'test/a/2.png': one, 'extra/a/3.png': one })),
    ).rejects.toThrow('has the folder extra/ beside them');
    await expect(openPictures('/no/such/folder')).rejects.toThrow('there is no such file or folder (ENOENT)');
    const file = join(folderOf({ 'a.zip': 'PK' }), 'a.zip');
    await expect(openPictures(file)).rejects.toThrow('is no set of labelled pictures: pass a folder, a table');
  });

  it('are not left through links, and loops of links end', async () => {
    const one = await picture(1);
    const outside = folderOf({ 'secret/1.png': one, '2.png': one });
    const root = folderOf({ 'a/1.png': one, 'b/1.png': one });
    symlinkSync(join(outside, 'secret'), join(root, 'c'));
    symlinkSync(join(outside, '2.png'), join(root, 'a/2.png'));
    symlinkSync(root, join(root, 'a/loop'));
    symlinkSync('self', join(root, 'a/self'));
    symlinkSync(join(root, 'b'), join(root, 'a/other'));
    symlinkSync(join(root, 'b/1.png'), join(root, 'a/3.png'));
    symlinkSync('/dev/zero', join(root, 'a/4.png'));
    const set = await openPictures(root);
    expect(names(set)).toEqual(['a/1.png', 'a/3.png', 'b/1.png']);
    expect(set.leftOutCounts).toEqual({
      'link that leads out of the folder': 3,
      'link that leads nowhere': 1,
      'link to a folder that is there anyway': 2,
    });
    expect(set.leftOut).toContainEqual({ name: 'c', reason: 'link that leads out of the folder' });
  });

  it.runIf(process.platform !== 'win32')('are not waited for where a name is that of a pipe', async () => {
    const root = folderOf(await classFolders({ a: 2 }));
    execFileSync('mkfifo', [join(root, 'a/pipe.png')]);
    const set = await openPictures(root);
    expect(set.leftOutCounts).toEqual({ 'neither file nor folder': 1 });
    expect(() => new SourceReader().read({ kind: 'file', path: join(root, 'a/pipe.png') })).toThrow(
      'a pipe or a device',
    );
  });

  it('keep odd names', async () => {
    const one = await picture(1);
    const odd = ['a\nb', '日本', "quo'te", 'per%cent', 'back\\slash', 'ünï', '-rf'].map(
      (name) => `${name}/${name}.png`,
    );
    const set = await openPictures(folderOf(Object.fromEntries(odd.map((name) => [name, one]))));
    expect(names(set)).toEqual([...odd].sort());
    for (const { source } of set.samples) expect(new SourceReader().read(source)).toEqual(new Uint8Array(one));
  });
});

describe('tables', () => {
  it('name files, labels and parts, with the usual headings', async () => {
    const one = await picture(1);
    const folder = folderOf({
      'images/1.png': one,
      'images/2.png': one,
      'images/a, b.png': one,
      'labels.csv':
        '\ufeffFileName,Class,Split\r\nimages/1.png,dog,train\r\n./images/2.png,cat,Val\n"images/a, b.png",dog,\n',
    });
    const set = await openPictures(join(folder, 'labels.csv'));
    expect(set.samples.map(({ name, split }) => [name, split])).toEqual([
      ['images/1.png', 'train'],
      ['./images/2.png', 'validation'],
      ['images/a, b.png', undefined],
    ]);
    expect(labels(set)).toEqual(['dog', 'cat', 'dog']);
    // Beside one folder of pictures, the table is what is meant.
    expect((await openPictures(folder)).format).toBe('manifest');
  });

  it('may have other separators and headings', async () => {
    const one = await picture(1);
    const folder = folderOf({ 'x.png': one, 'y.png': one, 'a.tsv': 'what\tname\n10\tx.png\n9\ty.png\n' });
    const set = await openPictures(join(folder, 'a.tsv'), { pathColumn: 'name', labelColumn: 'What' });
    expect(set.classes).toEqual(['9', '10']);
    expect(labels(set)).toEqual(['10', '9']);
    await expect(openPictures(join(folder, 'a.tsv'))).rejects.toThrow(
      'which column holds the files? It has what, name. Call it path, or name it with pathColumn (--picture-column).',
    );
    await expect(openPictures(join(folder, 'a.tsv'), { pathColumn: 'nam' })).rejects.toThrow(
      "has no column 'nam'; it has what, name. Did you mean name?",
    );
  });

  it('may name files by their whole paths, inside the folder', async () => {
    const one = await picture(1);
    const folder = folderOf({ 'x.png': one, 'sub/y.png': one });
    const link = join(folderOf({}), 'link');
    symlinkSync(folder, link);
    const beside = `${folder}-beside`;
    const rows = [join(folder, 'x.png'), join(link, 'sub/y.png'), join(beside, 'x.png'), join(folder, '../x.png')];
    writeFileSync(join(folder, 't.csv'), ['path,label', ...rows.map((row, i) => `${row},${i}`)].join('\n'));
    const direct = await openPictures(join(folder, 't.csv'));
    expect(names(direct)).toEqual([rows[0]]);
    expect(direct.leftOutCounts).toEqual({ 'outside the folder of the table': 3 });
    // Called by way of the link, the table's folder has two names.
    expect(names(await openPictures(join(link, 't.csv')))).toEqual([rows[0], rows[1]]);
  });

  it('leave out what is not there, not inside, or not said', async () => {
    const one = await picture(1);
    const outside = folderOf({ 'o.png': one });
    const folder = folderOf({ 'x.png': one, 'sub/y.png': one });
    symlinkSync(outside, join(folder, 'link'));
    symlinkSync(join(outside, 'o.png'), join(folder, 'o.png'));
    const rows = [
      'x.png,a',
      'sub/y.png,b',
      'none.png,a',
      '../up.png,a',
      '/etc/passwd,a',
      'C:\\x.png,a',
      'link/o.png,a',
      'o.png,a',
      'a\0b,c',
    ];
    writeFileSync(join(folder, 't.csv'), ['path,label', ...rows, 'x.png,a', ',a', 'x2.png,'].join('\n'));
    const set = await openPictures(join(folder, 't.csv'));
    expect(names(set)).toEqual(['x.png', 'sub/y.png']);
    expect(set.leftOutCounts).toEqual({
      'not there': 1,
      'outside the folder of the table': 4,
      'link that leads out of the folder': 1,
      'not a name of a file': 1,
      'listed twice': 1,
      'row without a file': 1,
      'row without a label': 1,
    });
  });

  it('are refused where they make no sense', async () => {
    const folder = folderOf({
      'empty.csv': '',
      'none.csv': 'path,label\nx.png,a\n',
      'part.csv': 'path,label,split\n1.png,a,holdout\n',
      'long.csv': `path,label\n${'x'.repeat(1_000_000)},a\n`,
      '1.png': await picture(1),
    });
    const open = (name: string) => openPictures(join(folder, name));
    await expect(open('empty.csv')).rejects.toThrow('is empty: its first line should name the columns');
    await expect(open('none.csv')).rejects.toThrow('lists no picture that is there: 1 not there');
    await expect(open('part.csv')).rejects.toThrow("line 2 is in the part 'holdout'; parts are train, val and test");
    await expect(open('long.csv')).rejects.toThrow(FormatError);
  });
});

describe('Parquet files', () => {
  it('give pictures, names of classes and parts, as data hubs write them', async () => {
    const folder = folderOf();
    for (const name of ['train-00000-of-00002', 'train-00001-of-00002', 'test-00000-of-00001']) {
      mkdirSync(join(folder, 'data'), { recursive: true });
      writeFileSync(join(folder, 'data', `${name}.parquet`), readFileSync(join(golden, `${name}.parquet`)));
    }
    const set = await openPictures(folder);
    expect(set.classes).toEqual(['cat', 'dog', 'owl']);
    expect(set.samples.length).toBe(17);
    expect(set.leftOutCounts).toEqual({ 'row without a label': 2 });
    expect(set.samples.slice(2).map(({ label }) => label)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 0, 1]);
    expect(set.samples.map(({ split }) => split).join()).toBe(`${'test,'.repeat(2)}${'train,'.repeat(14)}train`);
    const reader = new SourceReader();
    // Rows in any order, over groups and files.
    for (const i of [16, 0, 9, 3, 12, 4, 16, 7, 1]) {
      const { data, shape } = await decodeImage(reader.read(set.samples[i].source), { channels: 1 });
      const first = i < 2 ? 20 + i : i - 2;
      expect([shape, Array.from(data)]).toEqual([[1, 2, 3], [0, 1, 2, 3, 4, 5].map((k) => first + k)]);
    }
  });

  it.each(['codec-none', 'codec-gzip', 'codec-brotli', 'codec-zstd', 'codec-lz4', 'encodings'])(
    'are unpacked: %s',
    async (name) => {
      const set = await openPictures(join(golden, `${name}.parquet`));
      expect(set.samples.length).toBe(40);
      expect(set.classes).toEqual(name === 'encodings' ? ['0', '1'] : ['a', 'b']);
      expect(set.samples.map(({ label }) => label)).toEqual(Array.from({ length: 40 }, (_, i) => i % 2));
      const reader = new SourceReader();
      for (const [i, { source }] of set.samples.entries()) {
        if (name !== 'encodings' && (i === 3 || i === 17)) {
          expect(() => reader.read(source)).toThrow(`row ${i} has no picture`);
          continue;
        }
        const { data } = await decodeImage(reader.read(source), { channels: 1 });
        expect(Array.from(data)).toEqual([0, 1, 2, 3, 4, 5].map((k) => i + k));
      }
    },
  );

  it('are asked for other columns', async () => {
    const file = join(golden, 'encodings.parquet');
    await expect(openPictures(file, { pictureColumn: 'photo' })).rejects.toThrow(
      'which column holds the pictures? It has image, label. Name it with pictureColumn (--picture-column).',
    );
  });
});

describe('tar archives', () => {
  it('give pairs of pictures and labels, read in place', async () => {
    const [one, two, three] = [await picture(1), await picture(2), await picture(3)];
    const archive = await tar([
      ['a/0001.jpg', one],
      ['a/0001.cls', '1'],
      ['0002.cls', '0'],
      ['0002.png', two],
      ['./0003.seg.png', three],
      ['./0003.json', '{"label": 10}'],
      ['0004.png', three],
      ['0005.txt', '1'],
      [`${'long/'.repeat(40)}x.png`, three],
      [`${'long/'.repeat(40)}x.txt`, '0'],
    ]);
    const folder = folderOf({ 'train-0.tar': archive, 'val-0.tar.gz': gzipSync(archive) });
    const set = await openPictures(folder);
    expect(set.classes).toEqual(['0', '1', '10']);
    const found = [
      ['a/0001.jpg', '1', one],
      ['0002.png', '0', two],
      ['0003.seg.png', '10', three],
      [`${'long/'.repeat(40)}x.png`, '0', three],
    ] as const;
    const reader = new SourceReader();
    for (const [k, shard] of ['train-0.tar', 'val-0.tar.gz'].entries()) {
      for (const [i, [name, label, bytes]] of found.entries()) {
        const sample = set.samples[4 * k + i];
        expect([sample.name, set.classes[sample.label]]).toEqual([`${shard}/${name}`, label]);
        expect(sample.split).toBe(['train', 'validation'][k]);
        expect(Buffer.from(reader.read(sample.source)).equals(bytes)).toBe(true);
      }
    }
    expect(set.leftOutCounts).toEqual({ 'picture without a label': 2, 'label without a picture': 2 });
  });

  it('never become paths, and links in them lead nowhere', async () => {
    const one = await picture(1);
    const archive = await tar([
      ['../../etc/x.png', one],
      ['../../etc/x.cls', '0'],
      ['/abs/y.png', one],
      ['/abs/y.cls', '1'],
      ['link.png', { linkname: '/etc/passwd', type: 'symlink' }],
      ['hard.png', { linkname: '/abs/y.png', type: 'link' }],
      ['link.cls', '0'],
    ]);
    const set = await openPictures(join(folderOf({ 'x.tar': archive }), 'x.tar'));
    // Names that begin with a dot, as `..` does, are hidden; the absolute one is only a name.
    expect(names(set)).toEqual(['x.tar//abs/y.png']);
    expect(set.samples[0].source).toMatchObject({ kind: 'slice', length: one.length });
  });

  it('are refused where they are cut short, damaged, or too large unpacked', async () => {
    const archive = await tar([['1.png', Buffer.alloc(3000)], ['1.cls', '0']]); // biome-ignore format: one line
    const folder = folderOf({
      'cut.tar': archive.subarray(0, 2000),
      'text.tar': 'hello'.repeat(1000),
      'bomb.tar.gz': gzipSync(Buffer.alloc(50_000_000)),
      'cut.tar.gz': gzipSync(archive).subarray(0, 60),
      'empty.tar': Buffer.alloc(1024),
    });
    const open = (name: string) => openPictures(join(folder, name), { maxUnpackedBytes: 1 << 20 });
    await expect(open('cut.tar')).rejects.toThrow('an entry of 3000 bytes begins, 1488 are left: it is cut short');
    await expect(open('text.tar')).rejects.toThrow('it is no tar archive');
    await expect(open('bomb.tar.gz')).rejects.toThrow('unpacks to more than the 1048576 bytes');
    await expect(open('cut.tar.gz')).rejects.toThrow('the gzip data is damaged or cut short');
    await expect(open('empty.tar')).rejects.toThrow('has no labelled pictures in it');
  });

  it('may have sizes of more than eight gigabytes and in the notes of pax', () => {
    const header = tarHeader('big.png', 0);
    header.set([0x80, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0], 124); // 5 · 2³²
    sum(header);
    const source = {
      sizeBytes: 6 * 2 ** 32,
      read: (at: number, to: number) => (at === 0 ? header : new Uint8Array(to - at)),
    };
    expect([...tarEntries(source, 'x')]).toEqual([{ name: 'big.png', offset: 512, length: 5 * 2 ** 32 }]);
    const pax = Buffer.concat([
      tarHeader('pax', 27, 'x'),
      Buffer.from('9 size=7\n18 path=ünï.jpg\n'),
      Buffer.alloc(512 - 27),
      tarHeader('x', 0),
      Buffer.alloc(512),
    ]);
    expect([...tarEntries(memorySource(pax), 'x')]).toEqual([{ name: 'ünï.jpg', offset: 1536, length: 7 }]);
  });
});

type Entry = readonly [name: string, content: Uint8Array | string | { linkname: string; type: 'symlink' | 'link' }];

async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of entries) {
    if (typeof content === 'string' || content instanceof Uint8Array)
      archive.entry({ name }, Buffer.from(content as string));
    else archive.entry({ name, ...content });
  }
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function tarHeader(name: string, size: number, type = '0'): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write(type, 156);
  header.write('ustar\x0000', 257);
  return sum(header);
}

function sum(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  const total = header.reduce((a, b) => a + b, 0);
  header.write(`${total.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
