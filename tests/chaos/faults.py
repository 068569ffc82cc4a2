"""Every fault by its name."""

from __future__ import annotations

from tests.chaos import crashes, disks, partitions
from tests.chaos.scene import Fault

#: What `--cycles` counts; every other one comes once in a while between them.
KILL = "kill"

FAULTS: dict[str, Fault] = {
    KILL: crashes.kill,
    "kill all": crashes.kill_all,
    "kill again and again": crashes.kill_again_and_again,
    "kill while cut off": crashes.kill_while_cut_off,
    "join under kills": crashes.join_under_kills,
    "pause leader": crashes.pause_leader,
    "pause others": crashes.pause_others,
    "partition": partitions.partition,
    "one-way: leader unheard": partitions.one_way_out,
    "one-way: leader deaf": partitions.one_way_in,
    "partial partition": partitions.partial,
    "flapping links": partitions.flapping,
    "slow links": partitions.slow_links,
    "disk full": disks.disk_full,
    "map full": disks.map_full,
    "disk stalled": disks.disk_stalled,
    "disk frozen": disks.disk_frozen,
    "rolling restart": crashes.rolling_restart,
    "replace all machines": crashes.replace_all,
}
