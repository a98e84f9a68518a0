# A year of a warehouse with one product: what does a reorder policy cost a day?
# Demand is drawn from a fixed seed, so that every policy meets the same customers.

function random() {              # Park and Miller's generator: the same numbers in every awk
    seed = (seed * 16807) % 2147483647
    return seed / 2147483647
}

function demand(day) {           # about 30 a day; Saturdays are busy, the winter is quiet
    return int((14 + 32 * random()) * (day % 7 == 6 ? 1.8 : 1) * (1 + 0.25 * sin(day / 58)))
}

function report(day,    left_eur) {
    left_eur = 3.60 * (stock + on_the_way)      # what is there is worth what it costs to replace
    printf "{\"step\": %d, \"cost_eur_per_day\": %.4f, \"lost_sales_pct\": %.3f}\n", \
        day, (cost - left_eur) / day, 100 * lost / wanted >> ENVIRON["HPO_METRICS"]
}

BEGIN {
    seed = 20260101
    lead_days = supplier == "near" ? 2 : 9
    price_eur = supplier == "near" ? 4.30 : 3.60
    stock = 150

    for (day = 1; day <= 364; day++) {
        stock += arriving[day]
        on_the_way -= arriving[day]

        want = demand(day)
        sold = want < stock ? want : stock
        stock -= sold
        wanted += want
        lost += want - sold

        cost += 0.06 * stock                    # room and money tied up
        cost += 5.00 * (want - sold)            # a customer who leaves without
        if (stock + on_the_way <= reorder_point) {
            cost += 45 + price_eur * order_quantity
            arriving[day + lead_days] += order_quantity
            on_the_way += order_quantity
        }
        if (day % 28 == 0) report(day)          # the last report is the result
    }
}
