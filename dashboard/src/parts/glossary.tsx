// The page's own words, for who meets them for the first time.
import { Part } from './common';

const TERMS: [string, string][] = [
  ['Swarm', 'The sites of a study together. The swarm\'s model is made of what each site has trained on its own rows; no rows leave a site.'],
  ['Round', 'Each site trains the common model a little further on its own rows and sends what has changed, its update. The updates are merged into the next common model.'],
  ['Merge', 'How the updates of a round become one model, by the rule that everybody signed.'],
  ['Log-loss', 'How far a model\'s probabilities are from what then happened: 0 is perfect, larger is worse. Who says one half of each of two outcomes has 0.69.'],
  ['Attested', 'A site has computed the merge itself, came to the same bytes, and has signed that.'],
  ['Dissent', 'A site has computed the merge and came to something else.'],
  ['Grace', 'Enough updates are in, and the round still waits a little for the sites that are late.'],
  ['Final', 'A block that is not taken back any more: more than two thirds of those who make blocks have signed it.'],
  ['ε', 'How much the files of a private study may tell about one record or patient, as a number: 0 is nothing, larger is more. It is promised in the study file, counted by each site and the chain, and nothing of it is given back.'],
  ['Lineage', 'From what, step by step, a model was made: what was signed, the first model, and each round.'],
  ['Certified', 'The chain has chosen the best round, and enough sites hold its model. It does not say that the model is good for patients.'],
  ['Motion', 'A change to the consortium that its institutions vote on, such as to admit one.'],
];

/** A small glossary. */
export function Words() {
  return (
    <Part id="words" title="Words of this page" wide>
      <details>
        <summary>What swarm, log-loss, attested, grace and others mean here</summary>
        <dl class="commands">{TERMS.map(([word, said]) => <div key={word}><dt><b>{word}</b></dt><dd>{said}</dd></div>)}</dl>
      </details>
    </Part>
  );
}
