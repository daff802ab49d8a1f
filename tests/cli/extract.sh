#!/usr/bin/env bash
# Features of a folder, a list and a tar are the same; so are both file formats; and k-NN of files and of images.
source "$(dirname "$0")/common.sh"

run 0 demo-data --out set --train 40 --test 20
run 0 pretrain --data set/train "${tiny[@]}" --steps 20 --out run --json
model=run/checkpoint.safetensors
same_rows() { python3 "$tests/cli/check.py" rows "$1" "$2" || die "$1 and $2 differ"; }
extract() {
  run 0 extract --model $model --json "$@"
  result 'r["bad_images"] == 0'
}

# Folder, tar, tar.gz, a folder of shards, list: the same rows in the same order.
extract --data set/train --out folder.npy
result 'r["images"] == 40 and r["row_shape"] == [24] and r["paths"] == "folder.paths.txt"'
(cd set/train && find . -type f | LC_ALL=C sort | sed 's,^\./,,') >names
sort -c names
cmp names folder.paths.txt || die 'rows are in the bytewise order of paths'
(cd set/train && tar -cf ../../set.tar $(sort -R ../../names) && tar -czf ../../set.tar.gz $(cat ../../names))
mkdir shards
(cd set/train && tar -cf ../../shards/1.tar $(head -n 15 ../../names) && tar -czf ../../shards/2.tar.gz $(tail -n 25 ../../names))
sed 's,^,set/train/,' names >list.txt
for source in set.tar set.tar.gz shards list.txt; do
  extract --data $source --out other.npy
  same_rows folder.npy other.npy
  [ "$(awk -F/ '{print $(NF - 1) "/" $NF}' other.paths.txt)" = "$(cat names)" ] || die "other names of $source"
done

# An archive too large for memory goes to disk while it is used: nothing is left there.
mkdir cache
extract --data set.tar.gz --out other.npy --max-cache-bytes 10000 --cache-dir cache
says 'set.tar.gz: unpacked into cache'
same_rows folder.npy other.npy
[ -z "$(ls -A cache)" ] || die 'the cache is left behind'
run 1 extract --model $model --data set.tar.gz --out other.npy --max-cache-bytes 10000 --cache-dir nowhere
says 'nowhere: cannot take the cache file'
TMPDIR=$work/cache extract --data shards --out other.npy --max-cache-bytes 0
says "2.tar.gz: unpacked into $work/cache"
same_rows folder.npy other.npy

# The order is that of the paths, whatever that of the list.
sort -r list.txt >turned.txt
extract --data turned.txt --out turned.npy
same_rows folder.npy turned.npy

# Formats, batches, workers.
extract --data set/train --out folder.safetensors --workers 3
same_rows folder.npy folder.safetensors
run 0 inspect folder.npy --json
result 'r["kind"] == "features" and r["shape"] == [40, 24]'
run 0 inspect folder.safetensors --json
result 'r["tensor_list"] == [{"tensor": "cls", "type": "F32", "shape": [40, 24]}]'

# Tokens and blocks have their shapes, roles their own values.
extract --data set/test --out rows.npy --token both --num-blocks 2
result 'r["row_shape"] == [96]'
extract --data set/test --out rows.npy --token patches
result 'r["row_shape"] == [16, 24]'
extract --data set/test --out teacher.npy --token patch_mean
extract --data set/test --out student.npy --token patch_mean --role student
! python3 "$tests/cli/check.py" rows teacher.npy student.npy 2>/dev/null || die 'the student is the teacher'
extract --data set/test --out unit.npy --normalize
python3 -c "
import sys; sys.path.insert(0, '$tests/cli')
import check, struct
shape, data = check.read_rows('unit.npy')
values = struct.unpack('<%df' % (shape[0] * shape[1]), data)
for row in range(shape[0]):
    assert abs(sum(v * v for v in values[row * 24:row * 24 + 24]) - 1) < 1e-5, row" || die 'rows of --normalize have length 1'

# Fewer bits: near float32 and not float32, the same to the bit in any batch; what they take is said.
extract --data set/test --out exact.npy
extract --data set/test --out bytes.npy --precision int8
says 'memory: weights' 'products in int8'
extract --data set/test --out other.npy --precision int8 --batch-size 3
cmp bytes.npy other.npy || die 'int8 depends on the batch'
python3 -c "
import sys; sys.path.insert(0, '$tests/cli')
import check, struct
rows = []
for name in 'exact.npy', 'bytes.npy':
    shape, data = check.read_rows(name)
    rows.append(struct.unpack('<%df' % (shape[0] * 24), data))
assert rows[0] != rows[1]
for at in range(0, len(rows[0]), 24):
    a, b = (r[at:at + 24] for r in rows)
    product, own, other = (sum(x * y for x, y in zip(*pair)) for pair in ((a, b), (a, a), (b, b)))
    assert product > 0.999 * (own * other) ** 0.5, at" || die 'int8 is far from float32'
run 2 extract --model $model --data set/test --out rows.npy --precision int4
says 'int4' 'int8'

run 2 extract --model $model --data set/test --out rows.npy --block 1 --num-blocks 2
says 'num_blocks' '2 blocks'
run 2 extract --model $model --data set/test --out rows.txt
says '.npy or .safetensors'
run 1 extract --model nowhere.pth --data set/test --out rows.npy
says 'nowhere.pth'

# Whole images in their own proportions, many at once and each by itself: the same rows. The centre crop has others.
for token in cls_plus both patch_mean; do
  extract --data set/test --out whole.npy --whole-pixels 1600 --token $token
  result 'r["images"] == 20'
  extract --data set/test --out alone.npy --whole-pixels 1600 --token $token --batch-size 1
  same_rows whole.npy alone.npy
done
extract --data set/test --out whole.npy --whole-pixels 1600
! python3 "$tests/cli/check.py" rows whole.npy teacher.npy 2>/dev/null || die 'whole images are the centre crops'
extract --data set/test --out small.npy --whole-pixels 64  # one patch an image
! python3 "$tests/cli/check.py" rows whole.npy small.npy 2>/dev/null || die 'whole_pixels is no limit'
run 2 extract --model $model --data set/test --out rows.npy --whole-pixels 63
says 'whole_pixels is 63' '64 pixels'
run 2 extract --model $model --data set/test --out rows.npy --whole-pixels 1600 --token patches
says 'patches' 'whole_pixels'

# k-NN of images is that of their features, in either format.
extract --data set/train --out train.npy --token cls_plus
extract --data set/test --out test.safetensors --token cls_plus
run 0 knn --model $model --train set/train --test set/test --token cls_plus --k 1 5 --json
result 'set(r) == {"top1", "top5", "k", "token", "temperature", "train_images", "test_images", "bad_images", "classes",
                   "scores"}'
result 'r["train_images"] == 40 and r["test_images"] == 20 and r["classes"] == 10 and r["k"] == 1'
result '0 <= r["top1"] <= r["top5"] <= 100 and [s["k"] for s in r["scores"]] == [1, 5]'
scores=$(grep -o '"scores":.*' out.txt)
run 0 knn --train train.npy --test test.safetensors --k 1 5 --json
[ "$scores" = "$(grep -o '"scores":.*' out.txt)" ] || die 'k-NN of files and of images differ'
run 0 knn --model $model --train set/train --test set/test --precision int8 --json
result '0 <= r["top1"] <= r["top5"] <= 100'
run 0 knn --train train.npy --test train.npy --k 1 --json  # each image is its own nearest neighbour
result 'r["top1"] == 100'
run 2 knn --train set/train --test set/test
says "'model' must be given"
run 2 knn --train set/train --test set/test/disk --model $model
says 'label'
