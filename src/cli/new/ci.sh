#!/bin/sh
# What a pipeline runs before a plan comes near production. It changes nothing.
set -eu
cd "$(dirname "$0")"

deployrun check --deny warnings plan.rhai
deployrun fmt --check .
deployrun test
deployrun preview plan.rhai
