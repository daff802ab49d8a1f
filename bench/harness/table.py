"""From samples to the table."""

import statistics


def median_of(samples, key):
    values = [s["result"][key] for s in samples if s["result"].get(key) is not None]
    return statistics.median(values) if values else None


def summarise(rows, samples, flops, ceilings):
    """One entry a row and contender: medians over the rounds, and how they compare with the row's first contender.

    The share of the sgemm peak counts the operations that the contender says it needs, else the literal step's products;
    the peak is the best sgemm of the run, for all alike.
    ceilings: of a GPU, by measure.py; then the share of the roofline by operation, too."""
    pick = lambda row, name: [s for s in samples if (s["row"], s["contender"]) == (row, name) and "result" in s]
    gemm = [row for row in rows if row.name.startswith("gemm")]
    peak = {row.cores: max(s["result"]["gflops"] for s in pick(row.name, "sgemm")) for row in gemm if pick(row.name, "sgemm")}
    table = []
    for row in rows:
        if row in gemm and row.cores in peak:
            table.append({"row": row.name, "title": row.title, "contender": "sgemm", "gflops": peak[row.cores]})
            continue
        first = median_of(pick(row.name, row.contenders[0].name), "images_per_second")
        for contender in row.contenders:
            mine = pick(row.name, contender.name)
            entry = {"row": row.name, "title": row.title, "contender": contender.name}
            table.append(entry)
            if not mine:
                failed = [s["failed"] for s in samples if (s["row"], s["contender"]) == (row.name, contender.name)]
                entry["missing"] = contender.missing or (failed or ["not run"])[-1]
                continue
            rates = [s["result"]["images_per_second"] for s in mine]
            rate, gflops, share = statistics.median(rates), median_of(mine, "gflops"), None
            if gflops is None and row.name in flops and "strong" not in contender.name:  # which needs fewer
                gflops = rate * flops[row.name] / 1e9
            if gflops is not None and row.cores in peak:
                share = gflops / peak[row.cores]
            least = (ceilings or {}).get("roofline", {}).get(row.name, {}).get("images_per_second")
            entry |= {
                "images_per_second": rate,
                "lowest": min(rates),
                "highest": max(rates),
                "times_first": rate / first if first else None,
                "gemm_share": share,
                "roofline_share": rate / least if least else None,
                "peak_bytes": median_of(mine, "peak_bytes"),
                "base_bytes": median_of(mine, "base_bytes"),
                "process_peak_bytes": statistics.median(s["process_peak_bytes"] for s in mine),
                "batch": median_of(mine, "batch") or median_of(mine, "batch_size"),
                "valid_share": median_of(mine, "valid_share"),
                "cosine": median_of(mine, "cosine"),
                "busy_cores_of_others": max(s["busy_cores_of_others"] for s in mine),
            }
    return table


def as_markdown(table, device):
    """device: the columns of a GPU's run."""
    number = lambda value, form: "" if value is None else format(value, form)
    share = "share of roofline" if device else "share of sgemm peak"
    lines = [
        f"| what | who | images/s | lowest-highest | times the first | {share} | MiB above | MiB in all | others' load |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for e in table:
        if "gflops" in e:
            lines.append(f"| {e['title']} | the best of three libraries | {e['gflops']:.0f} GFLOP/s | | | | | | |")
            continue
        if "missing" in e:
            lines.append(f"| {e['title']} | {e['contender']} | missing: {e['missing']} | | | | | | |")
            continue
        above = e["peak_bytes"] if e["row"].startswith("step") else None
        cells = [
            e["title"],
            e["contender"],
            f"{e['images_per_second']:.2f}",
            f"{e['lowest']:.2f}-{e['highest']:.2f}",
            number(e["times_first"], ".2f"),
            number(e["roofline_share"] if device else e["gemm_share"], ".0%"),
            number(above and above / 2**20, ".0f"),
            number(above and e["base_bytes"] and (above + e["base_bytes"]) / 2**20, ".0f"),
            f"{e['busy_cores_of_others']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
