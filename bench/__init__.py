"""The workloads behind the numbers in README: `make bench`."""
