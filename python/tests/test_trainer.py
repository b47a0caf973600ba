"""The package as the worker meets it: a process that is told of jobs in files. `python -m unittest discover python/tests`."""

import json
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from consilium_trainer import Job, read, write  # noqa: E402
from consilium_trainer.helpers import flower  # noqa: E402

ENDLESS = """
import sys, time
from consilium_trainer import Stopped, run
def train(job):
    print("a word that is no answer")
    if job.settings.get("raise"):
        raise {"zero": ZeroDivisionError, "float": FloatingPointError, "memory": MemoryError}[job.settings["raise"]]("why")
    try:
        job.progress(0.5)
        time.sleep(60)
    except Stopped:
        (job.state / "kept").write_text("1")
        raise
run(train, lambda job: job.x[:, :1])
"""


class Trainer:
    """A trainer's process and folder."""

    def __init__(self, script, initial):
        self.folder = Path(tempfile.mkdtemp())
        for name in ("rows", "in", "out", "state"):
            (self.folder / name).mkdir()
        write(self.folder / "initial.safetensors", initial)
        draw = np.random.default_rng(3)
        x = draw.normal(size=(90, 30)).astype(np.float32)
        self.y = (x[:, 0] > 0).astype(np.int64)
        write(self.folder / "rows/a.safetensors", {"x": x, "y": self.y})
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, script], cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={"PYTHONPATH": str(HERE)})
        assert json.loads(self.process.stdout.readline()) == {"ready": 1}

    def tell(self, kind, model, number=1, **settings):
        write(self.folder / "in/model.safetensors", model)
        rows = {"training": "rows/a.safetensors", "validation": "rows/a.safetensors"} if kind == "train" else {"predict": "rows/a.safetensors"}
        job = {
            "version": 1, "kind": kind, "round": number, "seed": 5, "rows": rows, "initial": "initial.safetensors",
            "model": "in/model.safetensors", "model_name": str(id(model)) + str(number), "output": "out/output.safetensors",
            "state": "state", "merged": list(model), "local": [], "inputs": [30], "outputs": 1, "task": "binary",
            "loss": "cross_entropy", "training": {"batch_size": 32, "epochs": 2}, "settings": settings,
        }
        (self.folder / "in/job.json").write_text(json.dumps(job))
        self.process.stdin.write('{"job": "in/job.json"}\n')
        self.process.stdin.flush()

    def answer(self):
        while True:
            said = json.loads(self.process.stdout.readline())
            if "progress" not in said:
                return said

    def close(self):
        self.process.kill()
        self.process.communicate()


class Package(unittest.TestCase):
    def test_the_template_learns_and_says_the_same_twice(self):
        template = HERE / "template/trainer.py"
        file = Path(tempfile.mkdtemp()) / "initial.safetensors"
        subprocess.run([sys.executable, template, "--initial", file], check=True, env={"PYTHONPATH": str(HERE)})
        trainer = Trainer(template, read(file))
        self.addCleanup(trainer.close)
        model = read(file)
        for number in (1, 2):
            trainer.tell("train", model, number)
            self.assertIn("done", trainer.answer())
            model = read(trainer.folder / "out/output.safetensors")
        said = []
        for number in (1, 2):
            trainer.tell("predict", model, number)
            self.assertEqual(trainer.answer(), {"done": {}})
            said.append(read(trainer.folder / "out/output.safetensors")["logits"])
        np.testing.assert_array_equal(*said)
        self.assertEqual(said[0].shape, (90, 1))
        self.assertGreater(np.mean((said[0][:, 0] > 0) == trainer.y), 0.8)

    def test_what_is_printed_is_no_answer_and_what_is_raised_has_a_code(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(ENDLESS)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        for number, (error, code) in enumerate({"zero": "internal", "float": "not_finite", "memory": "memory"}.items()):
            trainer.tell("train", {"w": np.zeros(1, np.float32)}, number, **{"raise": error})
            self.assertEqual(trainer.answer()["failed"]["code"], code)

    def test_sigterm_ends_it_with_time_to_keep_something(self):
        script = Path(tempfile.mkdtemp()) / "t.py"
        script.write_text(ENDLESS)
        trainer = Trainer(script, {"w": np.zeros(1, np.float32)})
        self.addCleanup(trainer.close)
        trainer.tell("train", {"w": np.zeros(1, np.float32)})
        self.assertEqual(json.loads(trainer.process.stdout.readline()), {"progress": 0.5})
        trainer.process.send_signal(signal.SIGTERM)
        self.assertEqual(trainer.process.wait(5), 0)
        self.assertEqual((trainer.folder / "state/kept").read_text(), "1")

    def test_batches_are_whole_epochs_or_as_many_steps_as_asked_for(self):
        def job(**training):
            empty = np.zeros((0, 1), np.float32)
            return Job("train", {}, np.zeros((70, 1), np.float32), empty, empty, empty, 1, 5, 1, "binary", {"batch_size": 32, **training}, {}, Path())

        epochs = job(epochs=2).batches()
        self.assertEqual([len(rows) for rows in epochs], [32, 32, 6] * 2)
        self.assertEqual(sorted(np.concatenate(epochs[:3])), list(range(70)))
        self.assertEqual(len(job(epochs=0, batches=5).batches()), 5)

    def test_arrays_keep_type_and_shape_also_of_a_single_number(self):
        path = Path(tempfile.mkdtemp()) / "a"
        write(path, {"n": np.array(3, np.int64), "t": np.arange(6, dtype=np.float32).reshape(2, 3).T})
        found = read(path)
        self.assertEqual((found["n"].shape, found["n"].dtype), ((), np.int64))
        np.testing.assert_array_equal(found["t"], [[0, 3], [1, 4], [2, 5]])

    def test_a_flower_client_is_asked_to_fit(self):
        class Client:
            def fit(self, parameters, config):
                return [parameters[0] + config["by"]], 3, {"loss": 0.5}

        class Asked:
            model, settings, round, seed = {"w": np.ones(2)}, {"by": 2}, 1, 1

        arrays, loss = flower(lambda job: Client(), ["w"])(Asked())
        np.testing.assert_array_equal(arrays["w"], [3, 3])
        self.assertEqual(loss, 0.5)


if __name__ == "__main__":
    unittest.main()
