# Reads the output of `cargo test`, prints how long each test program took. (libtest says it
# of itself, in "finished in 1.23s"; cargo names the program before.)
/^ +Running / { part = $2 == "unittests" ? $3 : $2 }
/^ +Doc-tests / { part = "doc tests" }
/finished in [0-9.]+s/ {
  sub(/.*finished in /, ""); sub(/s.*/, "")
  if (!(part in took)) { order[++count] = part }
  took[part] += $0; all += $0
}
END {
  if (count == 0) exit
  print "\nseconds  part"
  for (i = 1; i <= count; i++) printf "%7.1f  %s\n", took[order[i]], order[i]
  printf "%7.1f  all of these\n", all
}
