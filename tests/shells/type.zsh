# Types into an interactive shell, presses Tab, and prints what the line has become.
#
# zsh -f type.zsh SHELL TEXT...
# SHELL is bash, zsh, or a directory with functions that zsh loads by their names.
zmodload zsh/zpty
shell=$1; shift
case $shell in
  bash)
    zpty it 'bash --noprofile --norc -i'
    setup=(
      'bind "set bell-style none"; bind "set enable-bracketed-paste off"'
      'source <(deployrun completions bash)'
      'bind -x '\''"\C-xr": printf "<<%s>>\n" "$READLINE_LINE"'\'
    ) ;;
  zsh)
    zpty it 'zsh -f -i'
    setup=(
      'autoload -U compinit; compinit -u -D; unsetopt zle_bracketed_paste beep'
      'source <(deployrun completions zsh)'
      'report() { print -r -- "<<$BUFFER>>"; zle reset-prompt }; zle -N report; bindkey "^Xr" report'
    ) ;;
  /*)
    zpty it 'zsh -f -i'
    setup=(
      "fpath=(${(q)shell} \$fpath); autoload -U compinit; compinit -u -D"
      'unsetopt zle_bracketed_paste beep'
      'report() { print -r -- "<<$BUFFER>>"; zle reset-prompt }; zle -N report; bindkey "^Xr" report'
    ) ;;
  *)
    print -u2 "no such shell: $shell"; exit 2 ;;
esac
# A line is complete where its marker, computed by the shell itself, comes back.
for line in $setup; do zpty -w it "$line"; done
zpty -w it 'echo rea''dy'
zpty -r -m it all '*ready*' || exit 1
for text; do
  # Line is killed first; the last one stands there still.
  zpty -w -n it $'\C-a\C-k'"$text"$'\t'
  zpty -w -n it $'\C-xr'
  zpty -r -m it seen '*<<*>>*' || exit 1
  print -r -- "${${seen##*<<}%%>>*}"
done
zpty -d it
