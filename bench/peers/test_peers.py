"""python3 -m unittest discover -s bench/peers (needs nothing but Python)."""
import argparse
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers


class Peers(unittest.TestCase):
    def test_batches_are_sorted_by_length_and_hold_every_example_once(self):
        batches = peers.length_sorted_batches([5, 3, 9, 3, 1], 2)
        self.assertEqual(batches, [[4, 1], [3, 0], [2]])

    def test_ratios_pair_the_repeats(self):
        self.assertEqual(peers.ratios_to([2.0, 4.0, 6.0], [1.0, 1.0, 2.0]), (3.0, 2.0, 4.0))

    def test_ours_over_each_peer_is_paired(self):
        seconds = {"ct2-int8": [2.0, 4.0, 6.0], "outlierlab-fp32": [1.0, 1.0, 2.0], "torch-fp32": [1.0, 2.0, 3.0]}
        self.assertEqual(peers.paired_ratios(seconds), [("outlierlab-fp32", "ct2-int8", (3.0, 2.0, 4.0)),
                                                        ("outlierlab-fp32", "torch-fp32", (1.5, 1.0, 2.0))])

    def test_rows_have_the_suites_columns(self):
        rows = peers.rows_of({"torch-fp32": [2.0], "x": [1.0]}, {"torch-fp32": 80.0, "x": 79.0}, 100)
        self.assertEqual(len(rows), 6)
        self.assertEqual(rows[3][3:9], ["x", "", "", "throughput_examples", "100", "100"])
        self.assertEqual(rows[4][6:10], ["speedup", "2", "2", "2"])

    def ours(self, folder, program):
        """Our contender whose program is a shell script; it has its arguments, and $json for --json's file."""
        path = os.path.join(folder, "outlierlab")
        with open(path, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nfor a; do [ "$b" = --json ] && json=$a; b=$a; done\n' + program)
        os.chmod(path, 0o755)
        arguments = argparse.Namespace(outlierlab=path, model="", data=folder, threads=1, batch_size=8, limit=500,
                                       max_length=128)
        return peers.Ours("outlierlab-int8-w8a8", arguments, folder)

    def test_an_engine_that_disagrees_is_not_timed(self):
        with tempfile.TemporaryDirectory() as folder:
            timed = 'echo \'{"accuracy": 80, "seconds": 2}\' > "$json"\n'
            self.assertEqual(self.ours(folder, timed).run(), (2, 80))
            self.ours(folder, timed).check()
            # eval --check ends with 1 where it disagrees; without it no seconds are said.
            disagrees = timed + 'for a; do [ "$a" = --check ] && exit 1; done\nexit 0\n'
            with self.assertRaisesRegex(RuntimeError, "does not agree"):
                self.ours(folder, disagrees).check()
            with self.assertRaisesRegex(RuntimeError, "does not agree"):
                self.ours(folder, 'echo \'{"accuracy": 80}\' > "$json"\n').run()
            with self.assertRaisesRegex(RuntimeError, "^the reason$"):
                self.ours(folder, "echo the reason >&2\nexit 2\n").check()

    def test_tsv_is_unquoted(self):
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as file:
            file.write('index\tquestion\tsentence\tlabel\n0\tA "b?\tC.\tentailment\n1\tD?\tE.\tnot_entailment\n')
        self.assertEqual(peers.read_pairs(file.name)[:1], [('A "b?', "C.", "entailment")])
        os.unlink(file.name)


if __name__ == "__main__":
    unittest.main()
