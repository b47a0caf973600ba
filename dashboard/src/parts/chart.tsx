// A chart of uPlot's, which follows the size of its place and the colours of the page.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

/** A colour of the page, as it is now. */
export const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draws `data` as `options` says; both are made anew by `made` when the colours or `key` change. */
export function Chart(props: { label: string; shape: string; height: number; options: () => Omit<uPlot.Options, 'width' | 'height'>; data: uPlot.AlignedData }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    const node = place.current;
    if (!node) return;
    const draw = () => {
      chart.current?.destroy();
      const { options, data, height } = latest.current;
      chart.current = new uPlot({ ...options(), width: Math.max(node.clientWidth, 200), height }, data, node);
    };
    draw();
    const size = new ResizeObserver(() => chart.current?.setSize({ width: Math.max(node.clientWidth, 200), height: latest.current.height }));
    size.observe(node);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      size.disconnect();
      theme.disconnect();
      dark.removeEventListener('change', draw);
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [props.shape]);
  useEffect(() => chart.current?.setData(props.data), [props.data]);
  return <div ref={place} class="chart" role="img" aria-label={props.label} />;
}

/** Steps of marks on an axis of whole things, such as rounds: never a part of one. */
const WHOLE = Array.from({ length: 7 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

/** Axes in the colours of the page. Along `x` are whole things. */
export function axes(x: string, y: string, values?: (value: number) => string): uPlot.Axis[] {
  const line = { stroke: colour('--line'), width: 1 };
  const both = { stroke: colour('--text'), grid: line, ticks: line, font: '14px system-ui', labelFont: '14px system-ui' };
  return [
    { ...both, label: x, incrs: WHOLE, values: (_, marks) => marks.map(String) },
    { ...both, label: y, size: 64, ...(values ? { values: (_: uPlot, marks: number[]) => marks.map(values) } : {}) },
  ];
}
