"""Sample events of tests in recipes: where a process runs."""

from __future__ import annotations

from raqib.offline.samples import run_tests
from raqib.recipes.load import load_text

TEXT = """
- kind: k
  name: n
  version: "1"
  description: d
  tactic: impact
  technique: resource_hijacking
  mechanism: file_access
  breed: file_access
  importance: low
  bases: [{dir: /etc}]
  arbitrary:
    - how: AND
      items:
        - {what: unit, pattern: ^ci$}
        - {what: label, pattern: ^app=ci$}
        - {what: user, pattern: ^ci$}
        - {what: cwd, pattern: ^/srv$}
        - {what: container, pattern: ^runner$}
  tests:
    - name: there
      event: {process: {unit: ci, container: '0123', container_name: runner, labels: {app: ci}, user: ci, cwd: /srv}}
      expect: {match: true}
    - name: elsewhere
      event: {process: {unit: ssh, container: '0123', container_name: runner, labels: {app: ci}, user: ci, cwd: /srv}}
      expect: {match: false, because: arbitrary}
    - name: nowhere
      event: {}
      expect: {match: false, because: arbitrary}
"""


def test_where_a_process_runs_can_be_said() -> None:
    loaded = load_text(TEXT, "mine.yaml")
    assert () == loaded.diagnostics
    [spec] = loaded.recipes
    assert [] == [result.message for result in run_tests(spec) if not result.passed]


def test_labels_are_a_mapping() -> None:
    loaded = load_text(TEXT.replace("{app: ci}", "app=ci", 1), "mine.yaml")
    assert ["expected a mapping of labels as {app: web}"] == [error.message for error in loaded.errors]
