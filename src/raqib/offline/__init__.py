"""What needs no kernel: recordings, replay, tests of recipes, one reaction, explanations."""
