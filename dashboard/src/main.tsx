// Starts the page.
import { render } from 'preact';
import { App } from './app';
import { begun } from './live';
import 'uplot/dist/uPlot.min.css';
import './style.css';

const root = document.getElementById('page');
if (root) {
  const first = begun(document.getElementById('first')?.textContent);
  root.replaceChildren();
  render(<App first={first} />, root);
}
