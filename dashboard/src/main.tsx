// Starts the page.
import { render } from 'preact';
import { App } from './app';
import 'uplot/dist/uPlot.min.css';
import './style.css';

const root = document.getElementById('page');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
