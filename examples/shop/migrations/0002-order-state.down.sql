drop index orders_by_state;
alter table orders drop column state;
