#!/bin/sh
# Gradient descent on f(x) = (x - 3)^2 + 1, in plain shell (and awk, for the arithmetic).
#
# An example of a trainer that knows nothing of swath: it takes parameters as
# name=value and prints its metrics the same way. By hand:
#
#     sh train.sh learning_rate=0.3 start=-4 epochs=8
set -eu

learning_rate=0.1
start=0
epochs=10
for arg in "$@"; do
	case $arg in
	learning_rate=*) learning_rate=${arg#*=} ;;
	start=*) start=${arg#*=} ;;
	epochs=*) epochs=${arg#*=} ;;
	*)
		echo "train.sh: unknown parameter: $arg" >&2
		exit 64 # the parameters cannot work: no use in trying again
		;;
	esac
done

x=$start
epoch=0
while [ "$epoch" -lt "$epochs" ]; do
	epoch=$((epoch + 1))
	x=$(awk -v x="$x" -v lr="$learning_rate" 'BEGIN { printf "%.12g", x - lr * 2 * (x - 3) }')
	loss=$(awk -v x="$x" 'BEGIN { printf "%.6g", (x - 3) * (x - 3) + 1 }')
	echo "epoch=$epoch loss=$loss x=$x"
	sleep 0.05
done
