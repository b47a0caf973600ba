// What several parts of the page have in common.
import type { ComponentChildren, Ref } from 'preact';
import { useRef, useState } from 'preact/hooks';

/** A part of the page, with a heading that its address can name. */
export function Part(props: { id: string; title: string; wide?: boolean; note?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section id={props.id} class={props.wide ? 'part wide' : 'part'} aria-labelledby={`${props.id}-title`}>
      <h2 id={`${props.id}-title`}>{props.title}</h2>
      {props.note && <p class="note">{props.note}</p>}
      {props.children}
    </section>
  );
}

/** Copies a text; where the browser keeps its clipboard from pages, the text stays selected, for the keyboard to copy it. */
async function copied(text: string, shown: Node | null): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return 'copied';
  } catch {
    if (!shown) return 'select it and copy by hand';
    getSelection()?.selectAllChildren(shown);
    // older browsers, and those that ask for it
    return document.execCommand('copy') ? 'copied' : 'selected: copy it with Ctrl+C';
  }
}

/** A text that is to be typed or kept, with a button that copies it. */
export function Copy(props: { text: string; label?: string; block?: boolean }) {
  const [said, setSaid] = useState('');
  const shown = useRef<HTMLElement>(null);
  const copy = async () => {
    setSaid(await copied(props.text, shown.current));
    setTimeout(() => setSaid(''), 4_000);
  };
  return (
    <span class={props.block ? 'copy block' : 'copy'}>
      {props.block ? <pre ref={shown as Ref<HTMLPreElement>} tabIndex={0}>{props.text}</pre> : <code ref={shown}>{props.text}</code>}
      <button type="button" onClick={copy} aria-label={`copy ${props.label ?? props.text}`}>copy</button>
      <span role="status" class="said">{said}</span>
    </span>
  );
}

/** A sentence of the program's, in which the commands stand apart, each with a button that copies it. */
export function Said({ line }: { line: string }) {
  // a command is what follows a colon, up to the end or a semicolon, or stands between backquotes
  const parts = line.split(/`((?:consilium|ml-worker) [^`]+)`|(?<=: )((?:consilium|ml-worker) [^;`]+)(?=;|$)/);
  return <>{parts.map((part, at) => (part === undefined || part === '' ? null : at % 3 === 0 ? part : <Copy key={`${at} ${part}`} text={part} />))}</>;
}

/** A word in a colour, which says it also without the colour. */
export function Tag(props: { kind: 'good' | 'bad' | 'wait' | 'plain'; children: ComponentChildren }) {
  const mark = { good: '✓ ', bad: '✗ ', wait: '… ', plain: '' }[props.kind];
  return <span class={`tag ${props.kind}`}><span aria-hidden="true">{mark}</span>{props.children}</span>;
}

/** A table that can be scrolled by keyboard where it is too wide or too long. */
export function Table(props: { label: string; head: string[]; children: ComponentChildren; numbers?: number[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.label}>
      <table>
        <thead><tr>{props.head.map((text, at) => <th key={text} scope="col" class={props.numbers?.includes(at) ? 'number' : ''}>{text}</th>)}</tr></thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}
